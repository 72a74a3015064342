"""The `notifier` command."""


def main() -> None:
    """Run the command line."""
    from notifier.cli import app

    app()


if __name__ == "__main__":
    main()
