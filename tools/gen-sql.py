#!/usr/bin/env python3
"""Makes typed C functions of queries/*.sql and tables of migrations/*.sql.

    gen-sql.py --out DIR FILE.sql...      writes DIR/store/queries.h, queries.c, migrations.c; each file is of a folder queries/ or
                                          migrations/

A query:

    -- query NAME : one | maybe | many | none | exactly | each
    -- doc What it is for.
    -- in  name type, name type?          ? may be null
    -- out name type, name type?
    -- row QUERY                          instead of out: the same row as that query gives
    SELECT … $name … ;
    -- postgres:
    (another text for that engine)

each: an INSERT … VALUES of many rows, of an array of struct q_NAME_in; on PostgreSQL many a statement, which ON CONFLICT must allow.
one: E_NOT_FOUND without a row.  maybe: says whether there is one.  many: an array in the arena.  none: runs.  exactly: E_CHANGED unless
one row was written.  Types: i64, text, json (text), blob, and bool, which is {INT} 0 or 1 on both engines.  SQL is not read, but for
$name; a comment has a line of its own.  Up to four parameters are arguments, more are a struct q_NAME_in.  Nullable: text is NULL, i64 a
pointer, an empty blob is null.  Every column of the SQL is called as -- out says (AS …): tests compare.

A migration is NUMBER_name.sql, numbers from 1 without gaps, one text for both engines: {ID} {TEXT} {INT} {BLOB} {SERIAL} {STRICT} become
the engine's words, and what stands between `-- only sqlite` or `-- only postgres` and `-- end` is for that engine.  A migration that was
released never changes: databases remember its checksum (comments do not count).
"""
import argparse
import hashlib
import os
import re
import sys

C_OUT = {"i64": "int64_t", "bool": "bool", "text": "const char *", "json": "const char *", "blob": "struct bytes"}
SQL_TYPE = {"i64": "SQL_I64", "bool": "SQL_I64", "text": "SQL_TEXT", "json": "SQL_TEXT", "blob": "SQL_BLOB"}
CARDINALITIES = ("one", "maybe", "many", "none", "exactly", "each")
# As many as the engines have room for (store/sql.h).
COLUMNS_MAX, PARAMS_MAX = 64, 128
# Names that would not compile, or would hide one of the generated function's own.
RESERVED = set("ctx txn in p row rows n found one many auto bool break case char const continue default do double else enum extern float for "
               "goto if int long register return short signed sizeof static struct switch typedef union unsigned void volatile while".split())
PARAMETER = r"\$([a-z_][a-z0-9_]*)"


class Mistake(Exception):
    pass


class Column:
    def __init__(self, text, where):
        words = text.split()
        if len(words) != 2 or words[1].rstrip("?") not in C_OUT:
            raise Mistake(f"{where}: '{text.strip()}' is not 'name type'")
        self.name, self.null, self.type = words[0], words[1].endswith("?"), words[1].rstrip("?")
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", self.name):
            raise Mistake(f"{where}: '{self.name}' is not a name: small letters, digits and _")
        if self.type == "bool" and self.null:
            raise Mistake(f"{where}: {self.name}: a bool cannot be null; take i64?")

    def declare(self):
        if self.type == "i64" and self.null:
            return f"const int64_t *{self.name}"
        kind = C_OUT[self.type]
        return f"{kind}{'' if kind.endswith('*') else ' '}{self.name}"

    def value(self, expr):
        if self.type == "i64":
            return f"sql_i64_null({expr})" if self.null else f"sql_i64({expr})"
        if self.type == "bool":
            return f"sql_i64({expr})"
        if self.type == "blob":
            return f"sql_blob_null({expr})" if self.null else f"sql_blob({expr})"
        return f"sql_text({expr})"

    def copy(self, i):
        if self.type == "i64":
            return f"sql_copy_i64(ctx, &v[{i}])" if self.null else f"v[{i}].i"
        if self.type == "bool":
            return f"v[{i}].i != 0"
        return f"sql_copy_{'blob' if self.type == 'blob' else 'text'}(ctx, &v[{i}])"


class Query:
    def __init__(self, name, cardinality, where):
        if cardinality not in CARDINALITIES:
            raise Mistake(f"{where}: '{cardinality}' is none of {', '.join(CARDINALITIES)}")
        self.name, self.cardinality, self.where = name, cardinality, where
        self.doc, self.ins, self.outs, self.sql, self.postgres = "", [], [], "", ""
        self.row = name  # the query whose struct its rows are

    def finish(self):
        if bool(self.outs) != (self.cardinality in ("one", "maybe", "many")):
            raise Mistake(f"{self.where}: {self.name}: columns do not fit '{self.cardinality}'")
        if len(self.outs) > COLUMNS_MAX or len(self.ins) > PARAMS_MAX:
            raise Mistake(f"{self.where}: {self.name}: more than {COLUMNS_MAX} columns or {PARAMS_MAX} parameters")
        for columns in (self.ins, self.outs):
            names = [c.name for c in columns]
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise Mistake(f"{self.where}: {self.name}: twice: {', '.join(twice)}")
        names = {c.name for c in self.ins}
        if self.takes_struct() and not self.ins:
            raise Mistake(f"{self.where}: {self.name}: 'each' of no parameters")
        if not self.takes_struct() and names & RESERVED:
            raise Mistake(f"{self.where}: {self.name}: cannot be the name of an argument: {', '.join(sorted(names & RESERVED))}")
        for what, text in (("", self.sql), (" for PostgreSQL", self.postgres)):
            used = set(re.findall(PARAMETER, text))
            if names != used and (text or not what):
                raise Mistake(f"{self.where}: {self.name}: parameters{what} differ: {', '.join(sorted(names ^ used))}")

    def text(self, engine):
        sql = self.postgres if engine == "postgres" and self.postgres else self.sql
        order = {c.name: i + 1 for i, c in enumerate(self.ins)}
        mark = "$" if engine == "postgres" else "?"
        return re.sub(PARAMETER, lambda m: f"{mark}{order[m.group(1)]}", sql)

    def takes_struct(self):
        return len(self.ins) > 4 or self.cardinality == "each"

    def signature(self):
        args = ["struct ctx *ctx", "struct txn *txn"]
        if self.takes_struct():
            args.append(f"const struct q_{self.name}_in *in")
        if self.cardinality == "each":
            args.append("size_t count")
        elif self.takes_struct():
            pass
        else:
            args += [c.declare() for c in self.ins]
        row = f"struct q_{self.row}_row"
        if self.cardinality == "many":
            args += [f"{row} **rows", "size_t *n"]
        elif self.outs:
            args.append(f"{row} *row")
        if self.cardinality == "maybe":
            args.append("bool *found")
        return f"RC q_{self.name}({', '.join(args)})"


def read_queries(path):
    queries, query, postgres = [], None, False
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        where, text = f"{path}:{number}", line.rstrip("\n")
        head = re.match(r"-- (query|doc|in|out|row)\s+(.*)", text)
        if head and head.group(1) == "query":
            name, _, cardinality = head.group(2).partition(":")
            query, postgres = Query(name.strip(), cardinality.strip(), where), False
            queries.append(query)
        elif head and query and head.group(1) == "doc":
            query.doc = head.group(2)
        elif head and query and head.group(1) == "row":
            query.row = head.group(2).strip()
        elif head and query:
            columns = [Column(c, where) for c in head.group(2).split(",")]
            if head.group(1) == "in":
                query.ins += columns
            else:
                query.outs += columns
        elif text.startswith("-- postgres:"):
            postgres = True
        elif text.startswith("--") or not text.strip():
            continue
        elif "--" in text:
            raise Mistake(f"{where}: a comment after SQL would hide the lines that follow: give it a line of its own")
        elif query and postgres:
            query.postgres += text.strip() + " "
        elif query:
            query.sql += text.strip() + " "
        else:
            raise Mistake(f"{where}: SQL before a query's head")
    return queries


def finish(queries):
    """Rows that are another query's, and what must hold."""
    by_name = {q.name: q for q in queries}
    for q in queries:
        if q.row != q.name:
            if q.row not in by_name or by_name[q.row].row != q.row:
                raise Mistake(f"{q.where}: {q.name}: no query {q.row} has a row of its own")
            q.outs = by_name[q.row].outs
        q.finish()


MACROS = {
    "sqlite": {"ID": "TEXT", "TEXT": "TEXT", "INT": "INTEGER", "BLOB": "BLOB", "STRICT": "STRICT",
               "SERIAL": "INTEGER PRIMARY KEY AUTOINCREMENT"},
    "postgres": {"ID": 'TEXT COLLATE "C"', "TEXT": 'TEXT COLLATE "C"', "INT": "BIGINT", "BLOB": "BYTEA", "STRICT": "",
                 "SERIAL": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"},
}


def migration_text(text, engine, where, every=False):
    """The text for `engine`; with `every`, the sections of the other engine too (for the checksum)."""
    out, only = [], None
    for line in text.splitlines():
        mark = re.match(r"-- (only (sqlite|postgres)|end)$", line.strip())
        if mark and bool(mark.group(2)) == bool(only):
            raise Mistake(f"{where}: '{line.strip()}' where {'a section is' if only else 'none is'} open")
        if mark:
            only = mark.group(2)
        elif every or only in (None, engine):
            out.append(re.sub(r"\s*--.*$", "", line))
    if only:
        raise Mistake(f"{where}: '-- only {only}' without '-- end'")
    body = "\n".join(l for l in out if l.strip())
    unknown = sorted(set(re.findall(r"\{([A-Z]+)\}", body)) - set(MACROS[engine]))
    if unknown:
        raise Mistake(f"{where}: there is no {{{unknown[0]}}}")
    return re.sub(r"\{([A-Z]+)\}", lambda m: MACROS[engine][m.group(1)], body)


def c_string(text):
    lines = [l.replace("\\", "\\\\").replace('"', '\\"') for l in text.strip().split("\n")]
    return "\n    ".join(f'"{l}\\n"' for l in lines)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def header(queries):
    out = ["/* Made by tools/gen-sql.py of src/store/queries: one typed function a query. */", "#ifndef STORE_QUERIES_H",
           "#define STORE_QUERIES_H", "", '#include "store/store.h"', ""]
    out += [f"struct q_{q.name}_row;" for q in queries if q.outs and q.row == q.name] + [""]
    for q in queries:
        if q.takes_struct():
            out += [f"struct q_{q.name}_in {{"] + [f"    {c.declare()};" for c in q.ins] + ["};"]
        if q.outs and q.row == q.name:
            out += [f"struct q_{q.name}_row {{"] + [f"    {c.declare()};" for c in q.outs] + ["};"]
        out += [f"/* {q.doc} */", q.signature() + ";", ""]
    return "\n".join(out + ["#endif", ""])


def function(q, index):
    out = []
    row = f"struct q_{q.row}_row"
    if q.outs:
        out += [f"static struct rc row_{q.name}(struct ctx *ctx, void *arg, const struct sql_value *v)", "{", "    (void)ctx;"]
        if q.cardinality == "many":
            out.append(f"    {row} *r = sql_many_add(ctx, arg, sizeof *r);")
        else:
            out += ["    struct sql_one *one = arg;", "    one->found = true;", f"    {row} *r = one->row;"]
        out.append(f"    *r = ({row}){{")
        out += [f"        .{c.name} = {c.copy(i)}," for i, c in enumerate(q.outs)]
        out += ["    };", "    return RC_OK;", "}"]
    out += [q.signature(), "{"]
    if q.cardinality == "each":
        per = min(64, 1024 // len(q.ins))
        out += [f"    for (size_t at = 0; at < count; at += {per}) {{", f"        const size_t k = count - at < {per} ? count - at : {per};",
                f"        struct sql_value p[{per} * {len(q.ins)}];", "        for (size_t i = 0; i < k; i++) {",
                f"            struct sql_value *v = p + i * {len(q.ins)};"]
        out += [f"            v[{i}] = {c.value('in[at + i].' + c.name)};" for i, c in enumerate(q.ins)]
        return out + ["        }", f"        TRY(sql_each(ctx, txn, {index}, p, k));", "    }", "    return RC_OK;", "}", ""]
    prefix = "in->" if q.takes_struct() else ""
    if q.ins:
        out += ["    const struct sql_value p[] = {"] + [f"        {c.value(prefix + c.name)}," for c in q.ins] + ["    };"]
    p = "p" if q.ins else "NULL"
    if q.cardinality == "exactly":
        out.append(f"    return sql_exactly(ctx, txn, {index}, {p});")
    elif q.cardinality == "none":
        out.append(f"    return sql_run(ctx, txn, {index}, {p}, NULL, NULL, NULL);")
    elif q.cardinality == "many":
        out += ["    struct sql_many many = {0};", f"    TRY(sql_run(ctx, txn, {index}, {p}, row_{q.name}, &many, NULL));",
                "    *rows = many.rows;", "    *n = many.n;", "    return RC_OK;"]
    else:
        out += ["    struct sql_one one = {row, false};",
                f"    TRY(sql_run(ctx, txn, {index}, {p}, row_{q.name}, &one, NULL));"]
        if q.cardinality == "maybe":
            out += ["    *found = one.found;", "    return RC_OK;"]
        else:
            out.append(f'    return one.found ? RC_OK : ctx_fail(ctx, E_NOT_FOUND, "not there ({q.name})");')
    return out + ["}", ""]


def source(queries):
    out = ["/* Made by tools/gen-sql.py of src/store/queries. */", '#include "store/queries.h"', "", '#include "store/sql.h"', ""]
    for q in queries:
        if q.ins:
            out.append(f"static const uint8_t in_{q.name}[] = {{{', '.join(SQL_TYPE[c.type] for c in q.ins)}}};")
        if q.outs and q.row == q.name:
            columns = (SQL_TYPE[c.type] + (" | SQL_MAY_BE_NULL" if c.null else "") for c in q.outs)
            out.append(f"static const uint8_t out_{q.name}[] = {{{', '.join(columns)}}};")
    out += ["", "const struct sql_query sql_queries[] = {"]
    for q in queries:
        lite, pg = q.text("sqlite"), q.text("postgres")
        same = "NULL" if re.sub(r"\?(?=[0-9])", "$", lite) == pg else c_string(pg)
        params = f"in_{q.name}" if q.ins else "NULL"
        columns = f"out_{q.row}" if q.outs else "NULL"
        names = " ".join(c.name for c in q.outs)
        out += [f'    {{"{q.name}", {c_string(lite)}, {same}, {params}, {columns}, "{names}", {len(q.ins)}, {len(q.outs)}}},']
    out += ["};", "const unsigned sql_queries_n = sizeof sql_queries / sizeof *sql_queries;", ""]
    for i, q in enumerate(queries):
        out += function(q, i)
    return "\n".join(out)


def migrations(paths):
    out = ["/* Made by tools/gen-sql.py of src/store/migrations. */", '#include "store/sql.h"', "", "const struct sql_migration sql_migrations[] = {"]
    for number, path in enumerate(sorted(paths, key=os.path.basename), 1):
        text = open(path, encoding="utf-8").read()
        named = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", os.path.basename(path))
        if not named or int(named.group(1)) != number:
            raise Mistake(f"{path}: expected {number:04}_name.sql: migrations are numbered from 0001 without gaps")
        checksum = hashlib.sha256(migration_text(text, "sqlite", path, every=True).encode()).hexdigest()
        out += [f'    {{{number}, "{named.group(2)}", "{checksum}",', f"    {c_string(migration_text(text, 'sqlite', path))},",
                f"    {c_string(migration_text(text, 'postgres', path))}}},"]
    return "\n".join(out + ["};", "const unsigned sql_migrations_n = sizeof sql_migrations / sizeof *sql_migrations;", ""])


def folder_of(path):
    return os.path.basename(os.path.dirname(os.path.abspath(path)))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--out", required=True)
    arguments.add_argument("files", nargs="+")
    args = arguments.parse_args()
    try:
        for path in args.files:
            if folder_of(path) not in ("queries", "migrations"):
                raise Mistake(f"{path}: neither in a folder queries/ nor in migrations/")
        queries = []
        for path in sorted(f for f in args.files if folder_of(f) == "queries"):
            queries += read_queries(path)
        finish(queries)
        names = [q.name for q in queries]
        for name in names:
            if names.count(name) > 1:
                raise Mistake(f"query {name} is there twice")
        write(os.path.join(args.out, "store/queries.h"), header(queries))
        write(os.path.join(args.out, "store/queries.c"), source(queries))
        write(os.path.join(args.out, "store/migrations.c"), migrations([f for f in args.files if folder_of(f) == "migrations"]))
    except Mistake as mistake:
        sys.exit(f"gen-sql: {mistake}")


if __name__ == "__main__":
    main()
