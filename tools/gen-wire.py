#!/usr/bin/env python3
"""Makes wire/messages.h and wire/messages.c of the tables of local messages (src/wire/*.def).

    gen-wire.py --out DIR FILE.def...

A table:

    message NAME SENDER... -> RECEIVER... [reply NAME | reply none]
        FIELD  TYPE                  # comment

A message with `reply` is asked and answered by that one; `reply none` is a notification; without either it only answers.  Types:

    text N            UTF-8 without NUL, at most N bytes        const char *
    bytes N           at most N bytes                           struct bytes
    secret N          the same, locked and wiped                struct secret
    i64 [LEAST..MOST] either end may be left out                int64_t
    bool                                                        bool
    enum WORD...                                                enum wire_MESSAGE_FIELD
    list text N COUNT, list bytes N COUNT, list i64 [RANGE] COUNT
"""
import argparse
import hashlib
import os
import re
import sys

NAME = re.compile(r"^[a-z][a-z0-9_]*$")
I64_LEAST, I64_MOST = -(1 << 63), (1 << 63) - 1
FIRST_TYPE = 16  # those below are built in: 1 is the error
MAX_BODY = 64 << 20


class Mistake(Exception):
    pass


class Field:
    def __init__(self, name, words):
        if not NAME.match(name):
            raise Mistake(f"'{name}' cannot name a field")
        self.name = name
        self.list = words[0] == "list"
        if self.list:
            words = words[1:]
        if not words:
            raise Mistake(f"{name}: type missing")
        self.type, rest = words[0], words[1:]
        self.least, self.most, self.max, self.count, self.words = I64_LEAST, I64_MOST, 0, 1, []
        if self.type in ("text", "bytes", "secret"):
            self.max = self.number(rest, "ceiling")
        elif self.type == "i64":
            if rest and ".." in rest[0]:
                low, high = rest.pop(0).split("..", 1)
                self.least = int(low) if low else I64_LEAST
                self.most = int(high) if high else I64_MOST
                if not I64_LEAST <= self.least <= self.most <= I64_MOST:
                    raise Mistake(f"{name}: range is empty or too wide")
        elif self.type == "enum":
            self.words, rest = rest, []
            if not 1 <= len(self.words) <= 255 or len(set(self.words)) != len(self.words):
                raise Mistake(f"{name}: enum needs 1 to 255 different words")
            for word in self.words:
                if not NAME.match(word):
                    raise Mistake(f"{name}: '{word}' cannot be a word of an enum")
        elif self.type != "bool":
            raise Mistake(f"{name}: no type is named '{self.type}'")
        if self.list:
            if self.type not in ("text", "bytes", "i64"):
                raise Mistake(f"{name}: a list holds text, bytes or i64")
            self.count = self.number(rest, "ceiling of the count")
        if rest:
            raise Mistake(f"{name}: '{rest[0]}' is one word too many")

    def number(self, rest, what):
        if not rest or not rest[0].isdigit() or not 0 < int(rest[0]) <= MAX_BODY:
            raise Mistake(f"{self.name}: {what} missing or out of range")
        return int(rest.pop(0))

    def size(self):
        one = {"i64": 8, "bool": 1, "enum": 1}.get(self.type, 4 + self.max)
        return 4 + one * self.count if self.list else one

    def c_type(self, message):
        if self.list:
            return {"text": "struct wire_texts ", "bytes": "struct wire_blobs ", "i64": "struct wire_numbers "}[self.type]
        if self.type == "enum":
            return f"enum wire_{message}_{self.name} "
        return {"text": "const char *", "bytes": "struct bytes ", "secret": "struct secret ", "i64": "int64_t ",
                "bool": "bool "}[self.type]


class Message:
    def __init__(self, line):
        words = line.split()
        if "->" not in words or len(words) < 5:
            raise Mistake("expected: message NAME SENDER... -> RECEIVER... [reply NAME]")
        self.name = words[1]
        arrow = words.index("->")
        self.senders, rest = words[2:arrow], words[arrow + 1:]
        self.reply = None
        if len(rest) >= 2 and rest[-2] == "reply":
            self.reply, rest = rest[-1], rest[:-2]
        self.receivers, self.fields = rest, []
        for name in [self.name] + self.senders + self.receivers:
            if not NAME.match(name):
                raise Mistake(f"'{name}' is not a name")
        if not self.senders or not self.receivers:
            raise Mistake("a message needs a sender and a receiver")

    def size(self):
        return sum(f.size() for f in self.fields)

    def secret(self):
        return any(f.type == "secret" for f in self.fields)


def read(files):
    messages, by_name = [], {}
    for file in files:
        with open(file, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                text = line.split("#", 1)[0].rstrip()
                if not text.strip():
                    continue
                try:
                    if not text[0].isspace():
                        if text.split()[0] != "message":
                            raise Mistake(f"'{text.split()[0]}' begins nothing here")
                        message = Message(text)
                        if message.name in by_name:
                            raise Mistake(f"message {message.name} is there twice")
                        by_name[message.name] = message
                        messages.append(message)
                    else:
                        if not messages:
                            raise Mistake("a field before the first message")
                        words = text.split()
                        if len(words) < 2:
                            raise Mistake(f"{words[0]}: type missing")
                        field = Field(words[0], words[1:])
                        if any(f.name == field.name for f in messages[-1].fields):
                            raise Mistake(f"{field.name} is there twice")
                        messages[-1].fields.append(field)
                except Mistake as mistake:
                    raise Mistake(f"{file}:{number}: {mistake}") from None
    for message in messages:
        if message.reply not in (None, "none"):
            reply = by_name.get(message.reply)
            if reply is None:
                raise Mistake(f"message {message.name}: no message is named {message.reply}")
            if reply.reply is not None:
                raise Mistake(f"message {message.name}: {message.reply} is asked itself, so it cannot be an answer")
        if message.size() > MAX_BODY:
            raise Mistake(f"message {message.name}: {message.size()} bytes at most, over {MAX_BODY}")
    return messages


def c_number(value):
    if value == I64_LEAST:
        return "INT64_MIN"
    return "INT64_MAX" if value == I64_MOST else str(value) if abs(value) < 1 << 31 else f"INT64_C({value})"


def put(field):
    name, at = f'"{field.name}"', f"m->{field.name}"
    ends = f"{c_number(field.least)}, {c_number(field.most)}"
    if field.list:
        if field.type == "i64":
            return f"TRY(wire_put_numbers(ctx, out, {name}, {at}, {ends}, {field.count}));"
        kind = "texts" if field.type == "text" else "blobs"
        return f"TRY(wire_put_{kind}(ctx, out, {name}, {at}, {field.max}, {field.count}));"
    return {"text": f"TRY(wire_put_text(ctx, out, {name}, {at}, {field.max}));",
            "bytes": f"TRY(wire_put_bytes(ctx, out, {name}, {at}, {field.max}));",
            "secret": f"TRY(wire_put_bytes(ctx, out, {name}, secret_use(&{at}), {field.max}));",
            "i64": f"TRY(wire_put_i64(ctx, out, {name}, {at}, {ends}));",
            "bool": f"buf_put_u8(out, {at} ? 1 : 0);",
            "enum": f"TRY(wire_put_enum(ctx, out, {name}, (unsigned){at}, {len(field.words)}));"}[field.type]


def take(message, field):
    name, at = f'"{field.name}"', f"&m->{field.name}"
    ends = f"{c_number(field.least)}, {c_number(field.most)}"
    if field.list:
        if field.type == "i64":
            return [f"TRY(wire_take_numbers(ctx, &in, {name}, {at}, {ends}, {field.count}));"]
        kind = "texts" if field.type == "text" else "blobs"
        return [f"TRY(wire_take_{kind}(ctx, &in, {name}, {at}, {field.max}, {field.count}));"]
    if field.type == "enum":
        return [f"TRY(wire_take_enum(ctx, &in, {name}, &word, {len(field.words)}));",
                f"m->{field.name} = (enum wire_{message.name}_{field.name})word;"]
    return [{"text": f"TRY(wire_take_text(ctx, &in, {name}, {at}, {field.max}));",
             "bytes": f"TRY(wire_take_bytes(ctx, &in, {name}, {at}, {field.max}));",
             "secret": f"TRY(wire_take_secret(ctx, &in, {name}, {at}, {field.max}));",
             "i64": f"TRY(wire_take_i64(ctx, &in, {name}, {at}, {ends}));",
             "bool": f"TRY(wire_take_bool(ctx, &in, {name}, {at}));"}[field.type]]


def header(messages, digest):
    out = ["/* Made by tools/gen-wire.py; do not edit. */", "#ifndef WIRE_MESSAGES_H", "#define WIRE_MESSAGES_H", "",
           '#include "wire/wire.h"', "", "enum wire_type {"]
    out += [f"    WIRE_{m.name} = {FIRST_TYPE + i}," for i, m in enumerate(messages)]
    out += [f"    WIRE_TYPE_END = {FIRST_TYPE + len(messages)}", "};", f"#define WIRE_TABLE_HASH UINT32_C(0x{digest})", ""]
    for m in messages:
        for f in m.fields:
            if f.type == "enum":
                words = ", ".join(f"WIRE_{m.name}_{f.name}_{word}" for word in f.words)
                out += [f"enum wire_{m.name}_{f.name} {{ {words} }};",
                        f"/* the word as it is written in the table */",
                        f"const char *wire_{m.name}_{f.name}_word(enum wire_{m.name}_{f.name} v);"]
        out += [f"struct wire_{m.name} {{ /* {' '.join(m.senders)} -> {' '.join(m.receivers)} */"]
        for f in m.fields:
            limit = f"at most {f.count}" if f.list else f"at most {f.max} bytes" if f.max else ""
            out += [f"    {f.c_type(m.name)}{f.name};" + (f" /* {limit} */" if limit else "")]
        if not m.fields:
            out += ["    char nothing_;"]
        out += ["};", ""]
    for m in messages:
        if m.reply == "none":
            out += [f"static inline struct rc wire_notify_{m.name}(struct ctx *ctx, struct wire_peer *peer, "
                    f"const struct wire_{m.name} *in) {{",
                    f"    return wire_notify(ctx, peer, WIRE_{m.name}, in);", "}"]
        elif m.reply:
            out += [f"static inline struct rc wire_call_{m.name}(struct ctx *ctx, struct wire_peer *peer, "
                    f"const struct wire_{m.name} *in,",
                    f"                                           struct wire_{m.reply} *out) {{",
                    f"    return wire_call(ctx, peer, WIRE_{m.name}, in, WIRE_{m.reply}, out);", "}"]
    return out + ["", "#endif"]


def codec(m):
    out = [f"static struct rc encode_{m.name}(struct ctx *ctx, const void *msg, struct buf *out) {{"]
    if m.fields:
        out += [f"    const struct wire_{m.name} *m = msg;", "    (void)ctx;"]
        out += [f"    {put(f)}" for f in m.fields]
    else:
        out += ["    (void)ctx, (void)msg;"]
    out += ["    return buf_status(out);", "}", "",
            f"static struct rc decode_{m.name}(struct ctx *ctx, struct bytes in, void *msg) {{"]
    if m.fields:
        out += [f"    struct wire_{m.name} *m = msg;"]
        if any(f.type == "enum" for f in m.fields):
            out += ["    unsigned word = 0;"]
        for f in m.fields:
            out += [f"    {line}" for line in take(m, f)]
    else:
        out += ["    (void)msg;"]
    out += ["    return wire_take_end(ctx, in);", "}", ""]
    if m.secret():
        out += [f"static void wipe_{m.name}(void *msg) {{", f"    struct wire_{m.name} *m = msg;"]
        out += [f"    secret_free(&m->{f.name});" for f in m.fields if f.type == "secret"]
        out += ["}", ""]
    for f in m.fields:
        if f.type == "enum":
            words = ", ".join(f'"{word}"' for word in f.words)
            out += [f"const char *wire_{m.name}_{f.name}_word(enum wire_{m.name}_{f.name} v) {{",
                    f"    static const char *const words[] = {{{words}}};",
                    f'    return (unsigned)v < {len(f.words)} ? words[v] : "?";', "}", ""]
    return out


def source(messages):
    roles = sorted({role for m in messages for role in m.senders + m.receivers})
    if len(roles) > 64:
        raise Mistake("more than 64 roles")
    bits = {role: f"BIT_{role}" for role in roles}
    out = ["/* Made by tools/gen-wire.py; do not edit. */", '#include "wire/messages.h"', "", '#include "base/str.h"', ""]
    if any(f.type == "enum" for m in messages for f in m.fields):
        out += ["static struct rc wire_put_enum(struct ctx *ctx, struct buf *out, const char *field, unsigned v, unsigned count) {",
                "    if (v >= count)",
                '        return ctx_fail(ctx, E_BUG, "%s: %u is no word of this enum", field, v);',
                "    buf_put_u8(out, (uint8_t)v);", "    return RC_OK;", "}", ""]
    for m in messages:
        out += codec(m)
    out += [f"#define {bits[role]} (UINT64_C(1) << {i})" for i, role in enumerate(roles)]
    out += ["", "static const struct wire_codec table[] = {"]
    for m in messages:
        reply = f"WIRE_{m.reply}" if m.reply not in (None, "none") else "0"
        out += [f'    {{.name = "{m.name}", .size = sizeof(struct wire_{m.name}), .max = {m.size()},', f"     .reply = {reply},",
                f"     .answer_only = {'false' if m.reply else 'true'}, .secret = {'true' if m.secret() else 'false'},",
                f"     .from = {' | '.join(bits[r] for r in m.senders)}, .to = {' | '.join(bits[r] for r in m.receivers)},",
                f"     .encode = encode_{m.name}, .decode = decode_{m.name},",
                f"     .wipe = {'wipe_' + m.name if m.secret() else 'NULL'}}},"]
    out += ["};", "", "const struct wire_codec *wire_codec_of(uint16_t type) {",
            f"    return type >= {FIRST_TYPE} && type < WIRE_TYPE_END ? &table[type - {FIRST_TYPE}] : NULL;", "}", "",
            "uint32_t wire_table_hash(void) {", "    return WIRE_TABLE_HASH;", "}", "",
            "uint64_t wire_role_bit(const char *role) {",
            "    static const char *const names[] = {" + ", ".join(f'"{role}"' for role in roles) + "};",
            "    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)",
            "        if (str_equal(names[i], role))", "            return UINT64_C(1) << i;", "    return 0;", "}"]
    return out


def write(path, lines):
    text = "\n".join(lines) + "\n"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    try:
        messages = read(args.files)
        digest = hashlib.sha256()
        for m in messages:
            digest.update(repr((m.name, m.senders, m.receivers, m.reply, [sorted(vars(f).items()) for f in m.fields])).encode())
        write(os.path.join(args.out, "wire/messages.h"), header(messages, digest.hexdigest()[:8]))
        write(os.path.join(args.out, "wire/messages.c"), source(messages))
    except (Mistake, OSError, ValueError) as mistake:
        sys.exit(f"gen-wire.py: {mistake}")


if __name__ == "__main__":
    main()
