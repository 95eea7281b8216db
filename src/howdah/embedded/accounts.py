"""Who the server runs as, and what that user may reach.

PostgreSQL refuses to run as root, so root hands the server to another system user.
An ordinary user runs it as itself, and nothing here has an effect.
"""

import logging
import os
import pwd
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from howdah.errors import Misconfigured

__all__ = ("Account", "account_for", "make_private", "open_the_way")

logger = logging.getLogger("howdah.embedded")

_FALLBACKS = ("postgres", "nobody")


class _Options(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A system user."""

    uid: int
    gid: int

    @classmethod
    def current(cls) -> "Account":
        """Return the user of this process."""
        return cls(uid=os.geteuid(), gid=os.getegid())

    @property
    def name(self) -> str:
        """The user's name, for a message."""
        try:
            return repr(pwd.getpwuid(self.uid).pw_name)
        except KeyError:
            return f"with the id {self.uid}"

    @property
    def options(self) -> _Options:
        """What subprocess needs to become this user."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path | int) -> None:
        """Give this user a file that we have just made."""
        if self.uid == os.geteuid():
            return
        if isinstance(path, int):
            os.fchown(path, self.uid, self.gid)
        else:
            os.lchown(path, self.uid, self.gid)


def account_for(folder: Path) -> Account:
    """Return who shall run the server: this user, or for root the folder's owner.

    So a project of an ordinary user stays theirs after somebody used sudo in it.
    """
    if os.geteuid() != 0:
        return Account.current()
    for place in (folder / "data", folder, *folder.parents):
        if place.exists() and (owner := place.stat()).st_uid != 0:
            return Account(uid=owner.st_uid, gid=owner.st_gid)
    for name in _FALLBACKS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise Misconfigured(
        "PostgreSQL does not run as root, and this system has neither a user "
        "'postgres' nor 'nobody' to run it as; add one: useradd --system postgres"
    )


def make_private(folder: Path, account: Account) -> None:
    """Make what is missing of a folder's path; leave alone what is there.

    The folder itself becomes the account's. One above it goes to the account only
    where the account owns the place it is made in.
    """
    if folder.exists():
        return
    _make_parents(folder.parent, account)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        account.own(folder)


def _make_parents(folder: Path, account: Account) -> None:
    if folder.exists():
        return
    _make_parents(folder.parent, account)
    with suppress(FileExistsError):
        folder.mkdir()
        if folder.parent.stat().st_uid == account.uid:
            account.own(folder)


def open_the_way(path: Path, account: Account) -> None:
    """Let the account pass through the folders above a path, and no more than pass."""
    if account.uid == os.geteuid() or _can_enter(path.parent, account):
        return
    for place in reversed(path.parents):
        if not _can_enter(place, account):
            place.chmod(stat.S_IMODE(place.stat().st_mode) | stat.S_IXOTH)
            logger.info(
                "Let others pass through %s, so that user %s reaches %s.",
                place,
                account.name,
                path,
                extra={"action": "embedded_opened_folder"},
            )


def _can_enter(folder: Path, account: Account) -> bool:
    """Ask the system itself: modes do not tell of access lists and mounts."""
    done = subprocess.run(  # noqa: S603 - a fixed command; the path is an argument
        ["/bin/sh", "-c", 'cd "$0"', str(folder)],
        check=False,
        cwd="/",
        stderr=subprocess.DEVNULL,
        **account.options,
    )
    return done.returncode == 0
