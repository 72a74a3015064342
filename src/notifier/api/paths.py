"""What a part of a path may be."""

from starlette.convertors import Convertor, register_url_convertor


class AnyText(Convertor[str]):
    """Users' own ids: text with slashes and line ends, which `path` would not take."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        """Return the text."""
        return value

    def to_string(self, value: str) -> str:
        """Return the text."""
        return value


register_url_convertor("any_text", AnyText())
