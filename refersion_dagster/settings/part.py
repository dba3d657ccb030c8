"""The base of all parts of the settings: each field has a variable, a description and errors that name it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from refersion_dagster.settings.values import InvalidSetting, url, url_or_off

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
    """Declares a field of a part.

    Args:
        description: what it does, for the documentation, `.env.example` and the field of a resource.
        variable: its environment variable; default: REFERSION_ and the field's name in capitals.
        shown_default: description of the default, if its value is not self-explanatory.
        example: a value for `.env.example`, which contains only variables with an example.
        more: additional Markdown for the documentation.
    """
    return Field(
        default=default,
        description=description,
        validation_alias=variable,
        examples=None if example is None else [example],
        json_schema_extra={"shown_default": shown_default, "more": more},
    )


def like(part: type[SettingsPart], field: str, ge: int | None = None) -> Any:
    """Declares a field of another model, such as a Dagster resource, with a setting's default and description."""
    return Field(default=part.default(field), description=part.description(field), ge=ge)


class VariablesSource(PydanticBaseSettingsSource):
    """Reads values from a mapping of variables, so that one process can have several configurations."""

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
        """Returns the environment variable of a field."""
        alias = cls.model_fields[field].validation_alias
        return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Returns the variable of each field, in order."""
        return {field: cls.variable(field) for field in cls.model_fields}

    @classmethod
    def description(cls, field: str) -> str:
        """Returns the description of a field."""
        return str(cls.model_fields[field].description)

    @classmethod
    def default(cls, field: str) -> Any:
        """Returns the default of a field, as its variable would have it."""
        return cls.model_fields[field].default

    @classmethod
    def secrets(cls) -> list[str]:
        """Returns the fields that hold secrets."""
        return [name for name, field in cls.model_fields.items() if "SecretStr" in str(field.annotation)]

    @classmethod
    def private(cls) -> list[str]:
        """Returns the fields whose values are never shown: secrets, and URLs, which may contain a password."""
        urls = [
            name
            for name, field in cls.model_fields.items()
            if AfterValidator(url) in field.metadata or AfterValidator(url_or_off) in field.metadata
        ]
        return [*cls.secrets(), *urls]

    @classmethod
    def of(cls, variables: Mapping[str, str], **arguments: Any) -> Self:
        """Returns the effective values: arguments that are not None, then variables, then defaults.

        Raises InvalidSetting with all errors. Arguments are named together with their variables.
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
        """Returns the valid values, with defaults for the others, and the errors by variable."""
        try:
            return cls(variables), {}
        except ValidationError as error:
            problems = {cls.variable(name): f"{cls.variable(name)} {said}" for name, said in _problems(cls, error)}
        left = {name: value for name, value in variables.items() if name not in problems}
        return cls(left), problems

    def list_set_values(self) -> dict[str, Any]:
        """Returns the values that are set, by field. Secrets are in plain text."""
        values = {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in values.items()
        }


def _problems(part: type[SettingsPart], error: ValidationError) -> Iterator[tuple[str, str]]:
    """Yields each invalid field with its error, which completes a sentence that begins with the variable."""
    fields = {str(field.validation_alias): name for name, field in part.model_fields.items() if field.validation_alias}
    for one in error.errors(include_url=False, include_input=False):
        name = str(one["loc"][0])
        yield fields.get(name, name), str(one.get("ctx", {}).get("error", one["msg"]))
