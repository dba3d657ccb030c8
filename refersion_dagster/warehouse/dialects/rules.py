"""Rules that translate one construct of DuckDB's SQL, and the rules that several dialects share."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from refersion_dagster.warehouse.dialects.dialect import UntestedSql

# Rules by node type. Each returns the node to use instead, which may be the same node.
Rules = Mapping[type[exp.Expr], Callable[[exp.Expr], exp.Expr]]
# Expressions whose text form is the same in all databases.
WRITTEN_ALIKE = (exp.Literal, exp.Null, exp.Cast, exp.Anonymous)


def apply_rules(tree: exp.Expr, rules: Rules) -> exp.Expr:
    """Apply the rules to each node. Inner nodes come first, so a rule sees its arguments already translated."""
    fitted = tree
    for node in reversed([*tree.walk(bfs=False)]):
        rule = rules.get(type(node))
        if rule is None:
            continue
        try:
            new = rule(node)
        except UntestedSql as error:
            error.node = error.node or node
            raise
        if new is not node:
            fitted = new if node is tree else fitted
            node.replace(new)
    return fitted


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A function call with the dialect's function name, unchanged."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def check_written_alike(value: exp.Expr) -> None:
    """Raises UntestedSql if an expression converted to text has no explicit type."""
    if not isinstance(value, WRITTEN_ALIKE):
        raise UntestedSql(
            f"This SQL makes a text of {value.sql('duckdb', comments=False)}, which databases write otherwise if it is "
            "a number: cast it to its type first, as in CAST(CAST(amount AS DECIMAL(38, 4)) AS TEXT)."
        )


def concatenated(node: exp.Expr) -> exp.Expr:
    """NULL adds nothing. The database rejects a number that has not been cast to text."""
    texts = [
        one if isinstance(one, exp.Literal) else exp.func("coalesce", one, exp.Literal.string(""))
        for one in node.expressions
    ]
    return exp.Concat(expressions=texts, safe=True, coalesce=False)


def change_case(**letters: str) -> Callable[[exp.Expr], exp.Expr]:
    """DuckDB converts case letter by letter; others map a letter to several, or depending on its position in a word."""

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


def without_alias(node: exp.Expr) -> exp.Expr:
    """The changed table is referenced by its own name, not by an alias."""
    table = node.this
    alias = table.args.get("alias")
    if alias is None:
        return node
    for column in node.find_all(exp.Column):
        if column.table == alias.name:
            column.set("table", table.this.copy())
    table.set("alias", None)
    return node


def keep_existing(node: exp.Expr) -> exp.Expr:
    """CREATE TABLE AS SELECT without IF NOT EXISTS. Callers check whether the table exists."""
    if isinstance(node.expression, exp.Query):
        node.set("exists", False)
    return node
