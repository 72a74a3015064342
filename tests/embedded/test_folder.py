"""The data folder: private, locked, and careful with what is already there."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from notifier.embedded import sockets
from notifier.embedded.errors import StartError
from notifier.embedded.folder import DataFolder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_a_private_folder_and_private_keys(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    folder.ensure_api_key()
    folder.ensure_secret_key()
    assert mode(data_dir) == 0o700
    assert (mode(folder.api_key), mode(folder.secret_key)) == (0o600, 0o600)
    key = folder.api_key.read_text().strip()
    assert key.startswith("ntf_")
    assert len(key) == len("ntf_") + 43
    assert (data_dir / ".gitignore").read_text() == "*\n"
    folder.close()


def test_keys_are_made_once(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    folder.ensure_api_key()
    key = folder.api_key.read_text()
    folder.ensure_api_key()
    assert folder.api_key.read_text() == key
    folder.close()


def test_an_existing_folder_keeps_its_permissions(data_dir: Path) -> None:
    data_dir.mkdir()
    data_dir.chmod(0o755)
    DataFolder.open(data_dir).close()
    assert mode(data_dir) == 0o755
    assert {mode(data_dir / "run"), mode(data_dir / "logs"), mode(data_dir / "lock")} == {0o700, 0o600}


def test_a_lost_secret_key_is_not_replaced_while_its_data_is_there(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    folder.postgres.mkdir()
    with pytest.raises(StartError, match=r"secret-key is missing"):
        folder.ensure_secret_key()
    folder.close()


def test_a_second_opener_is_told_which_process_has_the_folder(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    with pytest.raises(StartError, match=rf"Another `notifier up` \(process {os.getpid()}\)"):
        DataFolder.open(data_dir)
    folder.close()
    DataFolder.open(data_dir).close()


def test_a_file_in_the_folders_place_is_refused(data_dir: Path) -> None:
    data_dir.touch()
    with pytest.raises(StartError, match="it is a file"):
        DataFolder.open(data_dir)


def test_a_folder_that_cannot_be_made_is_refused(data_dir: Path) -> None:
    data_dir.touch()
    with pytest.raises(StartError, match="Cannot use the data folder"):
        DataFolder.open(data_dir / "below-a-file")


def test_the_sockets_of_a_start_are_short_new_and_removed_by_the_next(data_dir: Path) -> None:
    folder = DataFolder.open(data_dir)
    first = folder.sockets
    assert len(os.fsencode(first / "postgres" / ".s.PGSQL.5432")) < 104
    os.close(folder._lock or 0)  # what a kill leaves behind
    again = DataFolder.open(data_dir)
    assert not first.exists()
    assert again.sockets.exists()
    again.close()
    assert not again.sockets.exists()


def test_a_copied_data_folder_leaves_the_originals_sockets_alone(data_dir: Path) -> None:
    original = DataFolder.open(data_dir)
    copy = data_dir.with_name("copy")
    shutil.copytree(data_dir, copy)
    copied = DataFolder.open(copy)
    assert original.sockets.exists()
    assert copied.sockets != original.sockets
    copied.close()
    original.close()


def test_a_note_that_names_a_strangers_folder_removes_nothing(data_dir: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "ntf-stranger"
    stranger.mkdir()
    folder = DataFolder.open(data_dir)
    mine = folder.sockets
    (data_dir / "run" / "sockets").write_text(str(stranger))
    sockets.remove(data_dir / "run")
    assert stranger.exists()
    shutil.rmtree(mine)
    folder.close()
