"""What every part of the settings has: a variable for each field, a text about it, and errors that name it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from refersion_dagster.settings.values import InvalidSetting, url

PREFIX = "REFERSION_"


def setting(
    default: Any,
    description: str,
    *,
    variable: str | None = None,
    shown_default: str | None = None,
    example: str | None = None,
    more: str = "",
) -> Any:
    """A field of a part.

    Args:
        description: what it does, for the documentation, `.env.example` and the field of a resource.
        variable: its environment variable, if that is not REFERSION_ and the field's name in capitals.
        shown_default: the default in words, where the value does not say it.
        example: a value for `.env.example`, which has only variables with one.
        more: Markdown for the documentation alone.
    """
    return Field(
        default=default,
        description=description,
        validation_alias=variable,
        examples=None if example is None else [example],
        json_schema_extra={"shown_default": shown_default, "more": more},
    )


def like(part: type[SettingsPart], field: str, ge: int | None = None) -> Any:
    """A field of another model, such as a resource of Dagster's, with the default and the text of a setting."""
    return Field(default=part.default(field), description=part.description(field), ge=ge)


class VariablesSource(PydanticBaseSettingsSource):
    """Values by the names of their variables, from a mapping: two configurations fit in one process."""

    def __init__(self, part: type[SettingsPart], variables: Mapping[str, str]) -> None:
        super().__init__(part)
        self.part, self.variables = part, variables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value = self.variables.get(self.part.variable(field_name))
        return value, str(field.validation_alias or field_name), False

    def __call__(self) -> dict[str, Any]:
        found = (self.get_field_value(field, name) for name, field in self.part.model_fields.items())
        return {key: value for value, key, _ in found if value is not None}


class SettingsPart(BaseSettings):
    """Settings that belong together. What they are comes from arguments and a mapping, and not from `os.environ`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True
    )

    def __init__(self, variables: Mapping[str, str], **arguments: Any) -> None:
        part = type(self)
        sources = (InitSettingsSource(part, arguments), VariablesSource(part, variables))
        super().__init__(_build_sources=(sources, arguments))

    @classmethod
    def variable(cls, field: str) -> str:
        """The environment variable of a field."""
        alias = cls.model_fields[field].validation_alias
        return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"

    @classmethod
    def variables(cls) -> dict[str, str]:
        """The variable of each field, in order."""
        return {field: cls.variable(field) for field in cls.model_fields}

    @classmethod
    def description(cls, field: str) -> str:
        """What a field does."""
        return str(cls.model_fields[field].description)

    @classmethod
    def default(cls, field: str) -> Any:
        """The default of a field, as its variable would have it."""
        return cls.model_fields[field].default

    @classmethod
    def secrets(cls) -> list[str]:
        """The fields that hold secrets."""
        return [name for name, field in cls.model_fields.items() if "SecretStr" in str(field.annotation)]

    @classmethod
    def private(cls) -> list[str]:
        """The fields whose values are shown nowhere: secrets, and URLs, which may hold a password."""
        urls = [name for name, field in cls.model_fields.items() if AfterValidator(url) in field.metadata]
        return [*cls.secrets(), *urls]

    @classmethod
    def of(cls, variables: Mapping[str, str], **arguments: Any) -> Self:
        """The values that count: of the arguments that say something, then of the variables, then the defaults.

        Raises InvalidSetting, which names everything that is wrong. Arguments are named with their variables.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        names = {name: f"{name} ({cls.variable(name)})" for name in given}
        try:
            return cls(variables, **given)
        except ValidationError as error:
            problems = _problems(cls, error)
        raise InvalidSetting("\n".join(f"{names.get(name, cls.variable(name))} {said}" for name, said in problems))

    @classmethod
    def valid(cls, variables: Mapping[str, str]) -> tuple[Self, dict[str, str]]:
        """The values that are valid, with defaults for the others; and what is wrong, by variable."""
        try:
            return cls(variables), {}
        except ValidationError as error:
            problems = {cls.variable(name): f"{cls.variable(name)} {said}" for name, said in _problems(cls, error)}
        left = {name: value for name, value in variables.items() if name not in problems}
        return cls(left), problems

    def given(self) -> dict[str, Any]:
        """The values that are set, by field; secrets as they are."""
        values = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()
        }


def _problems(part: type[SettingsPart], error: ValidationError) -> Iterator[tuple[str, str]]:
    """Each field that is wrong, with the rest of the sentence about it."""
    fields = {str(field.validation_alias): name for name, field in part.model_fields.items() if field.validation_alias}
    for one in error.errors(include_url=False, include_input=False):
        name = str(one["loc"][0])
        yield fields.get(name, name), str(one.get("ctx", {}).get("error", one["msg"]))
