"""Who listens hears; who fails while listening disturbs nobody."""

import logging

from howdah.events import ConnectionLost, Events

FACT = ConnectionLost(lane="fast", reason="example")


def test_every_listener_hears_until_it_stops():
    events, first, second = Events(), [], []
    stop = events.listen(first.append)
    events.listen(second.append)

    events.emit(FACT)
    stop()
    events.emit(FACT)

    assert (first, second) == ([FACT], [FACT, FACT])


def test_events_are_true_while_somebody_listens():
    events = Events()

    assert not events
    stop = events.listen(print)
    assert events
    stop()
    stop()
    assert not events


def test_a_listener_that_fails_is_logged_and_disturbs_nobody(caplog):
    events, heard = Events(), []
    events.listen(lambda _event: 1 / 0)
    events.listen(heard.append)

    with caplog.at_level(logging.ERROR, "howdah.events"):
        events.emit(FACT)

    assert heard == [FACT]
    assert "a listener failed on ConnectionLost" in caplog.text


def test_a_listener_may_stop_while_it_is_told():
    events, heard = Events(), []
    stops = []

    def once(event: object) -> None:
        heard.append(event)
        stops[0]()

    stops.append(events.listen(once))
    events.emit(FACT)
    events.emit(FACT)

    assert heard == [FACT]
