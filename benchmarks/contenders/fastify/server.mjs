// Fastify on Node with `pg`: a pool, named statements, schemas for bodies and answers.
import Fastify from "fastify";
import pg from "pg";

pg.types.setTypeParser(1700, Number);
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 32 });
const app = Fastify();

const text = { type: ["string", "null"] };
const number = { type: ["number", "null"] };
const item = {
  type: "object",
  properties: {
    id: { type: "integer" }, name: { type: "string" }, description: text,
    price: { type: "number" }, tax: number, is_active: { type: "boolean" },
    created_at: text, updated_at: text,
  },
};
const list = { type: "array", items: item };
const create = {
  type: "object",
  required: ["name", "price"],
  properties: {
    name: { type: "string", minLength: 1, maxLength: 100 },
    description: { ...text, maxLength: 500 },
    price: { type: "number", exclusiveMinimum: 0 },
    tax: { ...number, minimum: 0 },
  },
};
const columns =
  "id, name, description, price, tax, is_active, created_at, updated_at";

// A date is written with its time zone; the schema's serializer takes text.
const shown = (row) => ({
  ...row,
  created_at: row.created_at.toISOString(),
  updated_at: row.updated_at && row.updated_at.toISOString(),
});
const rows = async (name, sql, values = []) =>
  (await pool.query({ name, text: sql, values })).rows.map(shown);

app.get("/items/:id", { schema: { response: { 200: item } } }, async (req, reply) => {
  const found = await rows(
    "get", `SELECT ${columns} FROM items WHERE id = $1`, [req.params.id]);
  return found[0] ?? reply.code(404).send({ detail: "not found" });
});

app.get("/items/", { schema: { response: { 200: list } } }, async (req) => {
  const { price_min, after } = req.query;
  if (price_min !== undefined)
    return rows("sorted", `SELECT ${columns} FROM items WHERE is_active AND price >= $1
      ORDER BY price, id LIMIT 100`, [price_min]);
  if (after !== undefined)
    return rows("behind", `SELECT ${columns} FROM items WHERE is_active AND id > $1
      ORDER BY id LIMIT 100`, [after]);
  return rows("list", `SELECT ${columns} FROM items WHERE is_active
    ORDER BY id LIMIT 100`);
});

app.get("/items/search", { schema: { response: { 200: list } } }, async (req) =>
  rows("search", `SELECT ${columns} FROM items WHERE is_active
    AND (name ILIKE $1 OR description ILIKE $1) ORDER BY id LIMIT 100`,
  [`%${req.query.q}%`]));

app.get("/items/count", async () => {
  const { rows: [row] } = await pool.query({
    name: "count", text: "SELECT count(*)::int AS total FROM items WHERE is_active" });
  return row;
});

app.post("/items/", { schema: { body: create, response: { 201: item } } },
  async (req, reply) => {
    const { name, description = null, price, tax = null } = req.body;
    const [row] = await rows("create",
      `INSERT INTO items (name, description, price, tax)
       VALUES ($1, $2, $3, $4) RETURNING ${columns}`, [name, description, price, tax]);
    return reply.code(201).send(row);
  });

app.post("/items/batch",
  { bodyLimit: 16777216,
    schema: { body: { type: "array", items: create }, response: { 201: list } } },
  async (req, reply) => {
    const of = (key) => req.body.map((row) => row[key] ?? null);
    const created = await rows("batch",
      `INSERT INTO items (name, description, price, tax)
       SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::numeric[])
       RETURNING ${columns}`,
      [of("name"), of("description"), of("price"), of("tax")]);
    return reply.code(201).send(created);
  });

app.put("/items/:id", { schema: { response: { 200: item } } }, async (req, reply) => {
  const [row] = await rows("update",
    `UPDATE items SET price = $2, updated_at = now() WHERE id = $1
     RETURNING ${columns}`, [req.params.id, req.body.price]);
  return row ?? reply.code(404).send({ detail: "not found" });
});

await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
