"""Why a start can fail, in words for the person at the terminal."""


class StartError(Exception):
    """Something that the user can put right; the message is one readable sentence, without a stack trace."""


class ChildFailedError(StartError):
    """A child ended while the service was starting; carries its name and its last lines."""

    def __init__(self, name: str, exit_code: int | None, log: str, last_lines: list[str]) -> None:
        how = "did not get ready in time" if exit_code is None else f"ended with exit code {exit_code}"
        super().__init__(f"{name} {how}. Its last lines (all of them: {log}):")
        self.last_lines = last_lines
