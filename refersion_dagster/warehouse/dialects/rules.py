"""Rules that say how a construct of DuckDB's is put in another dialect, and those that several dialects share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from refersion_dagster.warehouse.dialects.dialect import UntestedSql

# By the type of the node; each gives the node that takes its place, which may be the same one.
Rules = Mapping[type[exp.Expr], Callable[[exp.Expr], exp.Expr]]
# What has a text of its own that is the same in all databases.
WRITTEN_ALIKE = (exp.Literal, exp.Null, exp.Cast, exp.Anonymous)


def apply_rules(tree: exp.Expr, rules: Rules) -> exp.Expr:
    """The tree with each rule applied. What is inside comes first, so that a rule sees its arguments as written."""
    fitted = tree
    for node in reversed([*tree.walk(bfs=False)]):
        rule = rules.get(type(node))
        if rule is not None and (new := rule(node)) is not node:
            fitted = new if node is tree else fitted
            node.replace(new)
    return fitted


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A function under the name that it has in the dialect."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def check_written_alike(value: exp.Expr) -> None:
    """Raises UntestedSql for what a text is made of, unless its type is named."""
    if not isinstance(value, WRITTEN_ALIKE):
        raise UntestedSql(
            f"This SQL makes a text of {value.sql('duckdb', comments=False)}, which databases write otherwise if it is "
            "a number: cast it to its type first, as in CAST(CAST(amount AS DECIMAL(38, 4)) AS TEXT)."
        )


def concatenated(node: exp.Expr) -> exp.Expr:
    """NULL adds nothing. A number that is no text yet is refused by the database."""
    texts = [
        one if isinstance(one, exp.Literal) else exp.func("coalesce", one, exp.Literal.string(""))
        for one in node.expressions
    ]
    return exp.Concat(expressions=texts, safe=True, coalesce=False)


def cased(**letters: str) -> Callable[[exp.Expr], exp.Expr]:
    """Other databases map a letter to several, or by its place in the word; DuckDB letter by letter."""

    def rule(node: exp.Expr) -> exp.Expr:
        for before, after in letters.items():
            node.set("this", exp.func("replace", node.this, exp.Literal.string(before), exp.Literal.string(after)))
        return node

    return rule


def shows_clocks(node: exp.Expr) -> bool:
    """Whether it is a time without a time zone."""
    if isinstance(node, exp.Paren | exp.Add | exp.Sub):
        return shows_clocks(node.this)
    if isinstance(node, exp.Anonymous):
        return node.name == "CONVERT_TIMEZONE"
    return isinstance(node, exp.Cast) and node.is_type(exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ)
