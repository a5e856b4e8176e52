#!/usr/bin/env python3
"""OpenAPI to C: structs, tables of fields, the table of routes, and the document itself.

    gen-openapi.py --out DIR openapi/certwright.yaml

writes DIR/api/types.h, DIR/api/types.c, DIR/api/permissions.h, DIR/api/permissions.c, DIR/hub/routes.h, DIR/hub/routes.c and
DIR/hub/openapi_json.c.  How a schema becomes C is told in src/api/codec.h.  The document must keep to a closed subset of OpenAPI 3.1; anything else is an error that names file and line.
"""
import argparse
import gzip
import json
import os
import re
import sys

import yaml

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
METHODS = ("get", "post", "put", "patch", "delete")
SCALAR_KEYS = {
    "string": {"type", "format", "maxLength", "minLength", "enum", "default", "description", "example",
               "x-nullable", "x-multiline", "x-text"},
    "integer": {"type", "minimum", "maximum", "default", "description", "example", "x-nullable"},
    "boolean": {"type", "default", "description", "example", "x-nullable"},
}
ARRAY_KEYS = {"type", "items", "maxItems", "description", "x-nullable"}
OBJECT_KEYS = {"type", "properties", "required", "description", "x-unknown", "x-patch"}
MAP_KEYS = {"type", "additionalProperties", "maxProperties", "description"}
OPERATION_KEYS = {"operationId", "summary", "description", "tags", "parameters", "requestBody", "responses", "security",
                  "x-permission", "x-listener", "x-parkable", "x-idempotent", "x-raw"}
LISTENERS = {"admin": 1, "https": 2, "agent": 4}
# What is asked of no role: anybody, whoever is signed in about themselves, agents.
NO_PERMISSIONS = {"public", "self", "agent.work"}
PERMISSION = r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*"
FORMATS = {"id": "API_ID", "name": "API_NAME", "dns-name": "API_DNS_NAME"}
C_WORDS = set("auto break case char const continue default do double else enum extern float for goto if inline int long register "
              "return short signed sizeof static struct switch typedef union unsigned void volatile while".split())


class Node(dict):
    """A mapping that knows its line, and those of its keys."""
    line = 0
    lines = {}


class Loader(yaml.SafeLoader):
    pass


def _mapping(loader, node):
    out = Node()
    out.line = node.start_mark.line + 1
    out.lines = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            fail(key_node.start_mark.line + 1, f"{key_node.value} is no text to YAML: quote it")
        if key in out:
            fail(key_node.start_mark.line + 1, f"{key} comes twice")
        out[key] = loader.construct_object(value_node, deep=True)
        out.lines[key] = key_node.start_mark.line + 1
    return out


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# Times and the like stay text.
Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}
FILE = ""


def fail(line, text):
    sys.exit(f"{FILE}:{line}: {text}")


def check_keys(node, allowed, what):
    for key in node:
        if key not in allowed:
            fail(node.lines[key], f"{what}: {key} is not part of the subset understood here")


def snake(name):
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[^A-Za-z0-9]+", "_", name).lower()


def c_string(text):
    out = []
    for byte in text.encode():
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif 0x20 <= byte < 0x7F and char != "?":
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


class Field:
    """One field: its C declaration and its row in the table."""

    def __init__(self, name, spec, required, patch, doc):
        self.name, self.doc, self.line = name, doc, spec.line
        self.c = name.replace("-", "_")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.c) or self.c in C_WORDS:
            fail(spec.line, f"{name} cannot be the name of a field")
        self.ref = self.words = self.initial_text = None
        self.min, self.max, self.initial = INT64_MIN, INT64_MAX, 0
        self.bytes_min = self.bytes_max = self.items_max = 0
        self.item, self.format, self.flags = "API_STR", "API_ANY", []
        self.nullable = bool(spec.get("x-nullable"))
        self.required = required
        spec = self.resolve(spec)
        if spec["type"] == "array":
            check_keys(spec, ARRAY_KEYS, name)
            for key in ("items", "maxItems"):
                if key not in spec:
                    fail(spec.line, f"{name}: an array needs {key}")
            self.items_max = spec["maxItems"]
            if self.nullable:
                fail(spec.line, f"{name}: an array cannot be null; send an empty one")
            item = self.resolve(spec["items"])
            if item["type"] == "array" or "additionalProperties" in item:
                fail(item.line, f"{name}: arrays of arrays or maps are not part of the subset")
            self.item = self.read(item, spec["items"], True)
            self.type = "API_LIST"
            self.decl = f"struct {self.list_type()} {self.c}"
        else:
            self.type = self.read(spec, spec, required)
            self.decl = self.scalar_decl()
        if required:
            self.flags.append("API_REQUIRED")
        if self.nullable:
            self.flags.append("API_NULLABLE")
        number = self.type in ("API_INT", "API_TIME")
        has_default = "API_DEFAULT" in self.flags
        if has_default and (required or patch):
            fail(spec.line, f"{name}: a field that is required or of a patch has no default")
        self.has = not required and (patch or self.nullable or (number and not has_default))
        self.null = self.nullable and self.type in ("API_INT", "API_TIME", "API_BOOL")
        if self.nullable and required:
            fail(spec.line, f"{name}: a required field cannot be null")

    def resolve(self, spec):
        """Follows a $ref to a component that is not an object of its own."""
        self.target = self.map = None
        if "$ref" in spec:
            check_keys(spec, {"$ref", "description", "x-nullable"}, self.name)
            self.target = component(spec)
            target = DOC["components"]["schemas"][self.target]
            self.map = self.target if "additionalProperties" in target else None
            return target
        if spec.get("type") not in ("object", "array", "string", "integer", "boolean"):
            fail(spec.line, f"{self.name}: type must be object, array, string, integer or boolean")
        if spec["type"] == "object":
            fail(spec.line, f"{self.name}: an object inside another is a component of its own; use $ref")
        return spec

    def read(self, spec, where, required):
        kind = spec["type"]
        if kind == "object" and "additionalProperties" in spec:
            return self.read_map(spec)
        if kind == "object":
            self.ref = self.target
            return "API_OBJECT" if required else "API_POINTER"
        check_keys(spec, SCALAR_KEYS[kind], self.name)
        if "default" in spec:
            self.flags.append("API_DEFAULT")
        if kind == "boolean":
            self.initial = 1 if spec.get("default") else 0
            return "API_BOOL"
        if kind == "integer":
            self.min, self.max = spec.get("minimum", INT64_MIN), spec.get("maximum", INT64_MAX)
            self.initial = spec.get("default", 0)
            return "API_INT"
        return self.read_string(spec)

    def read_map(self, spec):
        check_keys(spec, MAP_KEYS, self.name)
        value = spec["additionalProperties"]
        if not isinstance(value, dict) or value.get("type") != "string" or "maxLength" not in value or "maxProperties" not in spec:
            fail(spec.line, f"{self.name}: a map has string values with maxLength, and maxProperties")
        self.items_max, self.bytes_max = spec["maxProperties"], value["maxLength"]
        if value.get("x-multiline"):
            self.flags.append("API_MULTILINE")
        return "API_MAP"

    def read_string(self, spec):
        form = spec.get("format")
        if form == "date-time":
            return "API_TIME"
        if "maxLength" not in spec and form == "id":
            self.bytes_max = 26
        elif "maxLength" not in spec and form == "name":
            self.bytes_max = 64
        elif "maxLength" not in spec:
            fail(spec.line, f"{self.name}: a string needs maxLength")
        else:
            self.bytes_max = spec["maxLength"]
        self.bytes_min = spec.get("minLength", 0)
        self.words = spec.get("enum")
        self.initial_text = spec.get("default")
        if spec.get("x-multiline"):
            self.flags.append("API_MULTILINE")
        if spec.get("x-text"):
            self.flags.append("API_TEXT")
        if form in FORMATS:
            self.format = FORMATS[form]
        elif form == "byte":
            return "API_BYTES"
        elif form == "hex":
            return "API_HEX"
        elif form is not None:
            fail(spec.line, f"{self.name}: the format {form} is not part of the subset")
        return "API_STR"

    def list_type(self):
        plain = {"API_STR": "api_strings", "API_BYTES": "api_blobs", "API_HEX": "api_blobs", "API_INT": "api_ints",
                 "API_TIME": "api_ints"}
        if self.item in plain:
            return plain[self.item]
        if self.item == "API_BOOL":
            fail(self.line, f"{self.name}: a list of booleans is not part of the subset")
        return f"api_{snake(self.ref)}_list"

    def scalar_decl(self):
        return {
            "API_STR": f"const char *{self.c}",
            "API_BYTES": f"struct bytes {self.c}",
            "API_HEX": f"struct bytes {self.c}",
            "API_TIME": f"int64_t {self.c}",
            "API_INT": f"int64_t {self.c}",
            "API_BOOL": f"bool {self.c}",
            "API_MAP": f"struct api_{snake(self.map or 'map')} {self.c}",
            "API_OBJECT": f"struct api_{snake(self.ref or '')} {self.c}",
            "API_POINTER": f"const struct api_{snake(self.ref or '')} *{self.c}",
        }[self.type]

    def row(self, struct):
        parts = [f".name = {c_string(self.name)}", f".offset = offsetof({struct}, {self.c})"]
        parts.append(f".has = offsetof({struct}, has_{self.c})" if self.has else ".has = API_NONE")
        parts.append(f".null = offsetof({struct}, null_{self.c})" if self.null else ".null = API_NONE")
        parts.append(f".type = {self.type}")
        if self.type == "API_LIST":
            parts.append(f".item = {self.item}")
        if self.ref:
            parts.append(f".ref = &api_{snake(self.ref)}_schema")
        if self.words:
            parts.append(f".words = (const char *const[]){{{', '.join(c_string(w) for w in self.words)}, NULL}}")
        if "API_INT" in (self.type, self.item):
            low = "INT64_MIN" if self.min == INT64_MIN else str(self.min)
            high = "INT64_MAX" if self.max == INT64_MAX else str(self.max)
            parts.append(f".min = {low}, .max = {high}")
        if self.initial:
            parts.append(f".initial = {self.initial}")
        if self.initial_text is not None:
            parts.append(f".initial_text = {c_string(self.initial_text)}")
        if self.bytes_max:
            parts.append(f".bytes_min = {self.bytes_min}, .bytes_max = {self.bytes_max}")
        if self.items_max:
            parts.append(f".items_max = {self.items_max}")
        if self.format != "API_ANY":
            parts.append(f".format = {self.format}")
        if self.flags:
            parts.append(f".flags = {' | '.join(dict.fromkeys(self.flags))}")
        return "    {" + ", ".join(parts) + "},"


DOC = None


def component(spec, section="schemas"):
    ref = spec["$ref"]
    prefix = f"#/components/{section}/"
    if not isinstance(ref, str) or not ref.startswith(prefix) or ref[len(prefix):] not in DOC["components"][section]:
        fail(spec.line, f"{ref} names no component of {prefix}")
    return ref[len(prefix):]


class Schema:
    def __init__(self, name, spec):
        check_keys(spec, OBJECT_KEYS, name)
        self.name, self.line = name, spec.line
        self.struct = f"struct api_{snake(name)}"
        self.skip = spec.get("x-unknown") == "skip"
        if spec.get("x-unknown") not in (None, "skip"):
            fail(spec.line, f"{name}: x-unknown can only be skip")
        self.doc = spec.get("description", "")
        required = spec.get("required", [])
        props = spec.get("properties") or {}
        if not props:
            fail(spec.line, f"{name}: an object needs properties")
        for key in required:
            if key not in props:
                fail(spec.lines["required"], f"{name}: {key} is required but not a property")
        self.fields = [Field(key, value, key in required, bool(spec.get("x-patch")), value.get("description", ""))
                       for key, value in props.items()]

    def needs(self):
        """Schemas whose struct must stand complete before this one's."""
        return [f.ref for f in self.fields if f.ref and f.type == "API_OBJECT"]


def order_schemas(schemas):
    done, out = {}, []

    def visit(name, line):
        if done.get(name) == 1:
            fail(line, f"{name} contains itself")
        if name in done:
            return
        done[name] = 1
        for need in schemas[name].needs():
            visit(need, schemas[name].line)
        done[name] = 2
        out.append(schemas[name])

    for name, schema in schemas.items():
        visit(name, schema.line)
    return out


def comment(text, indent=""):
    return f"{indent}/* {' '.join(text.split())} */" if text else None


def struct_lines(struct, fields, doc):
    out = [comment(doc)] if doc else []
    out.append(f"{struct} {{")
    for field in fields:
        out.append(f"    {field.decl};" + (f" /* {' '.join(field.doc.split())} */" if field.doc else ""))
        if field.has:
            out.append(f"    bool has_{field.c};")
        if field.null:
            out.append(f"    bool null_{field.c};")
    out.append("};")
    return out


def schema_table(struct, var, title, fields, skip, static):
    rows = [f"static const struct api_field {var}_fields[] = {{"] + [f.row(struct) for f in fields] + ["};"]
    rows.append(f"{'static ' if static else ''}const struct api_schema {var}_schema = {{.name = {c_string(title)}, "
                f".fields = {var}_fields, .fields_n = {len(fields)}, .size = sizeof({struct}), .skip_unknown = {'true' if skip else 'false'}}};")
    return rows


MADE = "/* Made by tools/gen-openapi.py from openapi/certwright.yaml. */"


def types_h(schemas, maps):
    out = [MADE, "#ifndef API_TYPES_H", "#define API_TYPES_H", "", '#include "api/codec.h"', ""]
    listed = sorted({f.ref for s in schemas for f in s.fields if f.type == "API_LIST" and f.ref})
    out += [f"{s.struct};" for s in schemas]
    out += [f"struct api_{snake(name)}_list {{\n    const struct api_{snake(name)} *v;\n    size_t n;\n}};" for name in listed]
    for name in maps:
        struct = f"struct api_{snake(name)}"
        out += ["", f"{struct} {{\n    const struct api_pair *v;\n    size_t n;\n}};",
                f"/* The value of `name`, or NULL. */\nconst char *api_{snake(name)}_get(const {struct} *in, const char *name);",
                f"void api_{snake(name)}_encode(struct json_out *j, const char *key, const {struct} *in);"]
    for s in schemas:
        out += [""] + struct_lines(s.struct, s.fields, s.doc)
    out += ["", "/* Decoders check everything (api/codec.h); encoders write what is there. */"]
    for s in schemas:
        name = s.struct[len("struct "):]
        out.append(f"extern const struct api_schema {name}_schema;")
        out.append(f"RC {name}_decode(struct ctx *ctx, const json_t *value, {s.struct} *out);")
        out.append(f"void {name}_encode(struct json_out *j, const char *key, const {s.struct} *in);")
    return out + ["", "#endif"]


def types_c(schemas, maps):
    out = [MADE, '#include "api/types.h"', "", "#include <stddef.h>", ""]
    for name in maps:
        c = f"api_{snake(name)}"
        out += [f"const char *{c}_get(const struct {c} *in, const char *name)", "{",
                "    return api_map_get(&(struct api_map){.v = in->v, .n = in->n}, name);", "}",
                f"void {c}_encode(struct json_out *j, const char *key, const struct {c} *in)", "{",
                "    api_map_encode(j, key, &(struct api_map){.v = in->v, .n = in->n});", "}", ""]
    for s in schemas:
        name = s.struct[len("struct "):]
        out += schema_table(s.struct, name, s.name, s.fields, s.skip, False)
        out += [f"RC {name}_decode(struct ctx *ctx, const json_t *value, {s.struct} *out)", "{",
                f"    return api_decode(ctx, &{name}_schema, value, out);", "}",
                f"void {name}_encode(struct json_out *j, const char *key, const {s.struct} *in)", "{",
                f"    api_encode(j, key, &{name}_schema, in);", "}", ""]
    return out


class Route:
    def __init__(self, path, method, op, shared):
        check_keys(op, OPERATION_KEYS, f"{method} {path}")
        self.path, self.method, self.line = path, method.upper(), op.line
        for key in ("operationId", "x-permission", "responses", "summary"):
            if key not in op:
                fail(op.line, f"{method} {path}: {key} is missing")
        self.id = snake(op["operationId"])
        self.summary = op["summary"]
        self.permission = op["x-permission"]
        if self.permission not in NO_PERMISSIONS and not re.fullmatch(PERMISSION, self.permission):
            fail(op.lines["x-permission"], f"{self.permission} is no permission: noun.verb")
        self.listeners = 0
        for word in op.get("x-listener", "admin|https").split("|"):
            if word not in LISTENERS:
                fail(op.lines["x-listener"], f"{word} is no listener")
            self.listeners |= LISTENERS[word]
        self.parkable, self.idempotent = bool(op.get("x-parkable")), bool(op.get("x-idempotent"))
        self.raw = bool(op.get("x-raw"))
        self.params, self.query = [], []
        for param in shared + op.get("parameters", []):
            self.add_param(param)
        named = re.findall(r"{(\w+)}", path)
        if named != self.params:
            fail(op.line, f"{path}: the path names {named}, its parameters are {self.params}")
        self.body = self.json_of(op["requestBody"], op, "requestBody") if "requestBody" in op else None
        self.read_responses(op["responses"])

    def add_param(self, param):
        if "$ref" in param:
            param = DOC["components"]["parameters"][component(param, "parameters")]
        check_keys(param, {"name", "in", "required", "schema", "description"}, "parameter")
        if param["in"] == "path":
            self.params.append(param["name"])
        elif param["in"] == "query":
            field = Field(param["name"], param["schema"], False, False, param.get("description", ""))
            if field.type in ("API_LIST", "API_MAP", "API_OBJECT", "API_POINTER"):
                fail(param.line, f"{param['name']}: a query parameter is a plain value")
            self.query.append(field)
        elif param["in"] != "header":
            fail(param.line, f"{param['name']}: in must be path, query or header")

    def json_of(self, node, parent, key):
        content = node.get("content", {})
        if list(content) != ["application/json"] or "$ref" not in content["application/json"].get("schema", {}):
            fail(parent.lines.get(key, parent.line), f"{key}: content must be application/json with a $ref as schema")
        return component(content["application/json"]["schema"])

    def read_responses(self, responses):
        self.status, self.reply = None, None
        for status, node in responses.items():
            if "$ref" in node:
                component(node, "responses")
                continue
            if not re.fullmatch(r"2\d\d", str(status)):
                fail(responses.lines[status], "only answers that succeed are described here; the others are problem+json")
            if self.status is not None:
                fail(responses.lines[status], "one answer that succeeds is enough")
            self.status = int(status)
            if "content" in node and not self.raw:
                self.reply = self.json_of(node, responses, status)
        if self.status is None:
            fail(responses.line, "no answer that succeeds is described")

    def prototype(self, storage="RC "):
        args = ["struct api_call *call"]
        if self.body:
            args.append(f"const struct api_{snake(self.body)} *in")
        if self.reply:
            args.append(f"struct api_{snake(self.reply)} *out")
        return f"{storage}api_{self.id}({', '.join(args)})"

    def thunk(self):
        args = ["call"] + (["in"] if self.body else []) + (["out"] if self.reply else [])
        unused = [f"    (void){name};" for name, used in (("in", self.body), ("out", self.reply)) if not used]
        return [f"static struct rc call_{self.id}(struct api_call *call, const void *in, void *out)", "{", *unused,
                f"    return api_{self.id}({', '.join(args)});", "}"]

    def row(self):
        names = " | ".join(f"API_ON_{n.upper()}" for n, bit in LISTENERS.items() if self.listeners & bit)
        parts = [f".method = {c_string(self.method)}", f".path = {c_string(self.path)}", f".operation = {c_string(self.id)}",
                 f".permission = {c_string(self.permission)}", f".listeners = {names}", f".status = {self.status}",
                 f".handler = call_{self.id}"]
        for key, value in (("parkable", self.parkable), ("idempotent", self.idempotent), ("raw", self.raw)):
            if value:
                parts.append(f".{key} = true")
        if self.query:
            parts.append(f".query = &api_{self.id}_query_schema")
        if self.body:
            parts.append(f".body = &api_{snake(self.body)}_schema")
        if self.reply:
            parts.append(f".reply = &api_{snake(self.reply)}_schema")
        return "    {" + ", ".join(parts) + "},"


def read_routes():
    routes, seen = [], set()
    for path, item in DOC["paths"].items():
        if not re.fullmatch(r"(/([A-Za-z0-9._-]+|{\w+}))+", path):
            fail(DOC["paths"].lines[path], f"{path} is not a path template understood here")
        check_keys(item, set(METHODS) | {"parameters"}, path)
        for method in METHODS:
            if method in item:
                route = Route(path, method, item[method], item.get("parameters", []))
                if route.id in seen:
                    fail(item[method].line, f"the operation {route.id} is there twice")
                seen.add(route.id)
                routes.append(route)
    # What is spelled out comes before what matches anything.
    return sorted(routes, key=lambda r: [(part.startswith("{"), part) for part in r.path.split("/")])


def routes_h(routes):
    out = [MADE, "#ifndef HUB_ROUTES_H", "#define HUB_ROUTES_H", "", '#include "api/types.h"', '#include "hub/packed.h"', "",
           "struct api_call; /* hub/api.h */", "",
           "enum { " + ", ".join(f"API_ON_{n.upper()} = {bit}" for n, bit in LISTENERS.items()) + " };", "",
           "/* One operation.  Matched in the order of the table. */", "struct api_route {",
           "    const char *method, *path, *operation, *permission;",
           "    unsigned listeners;", "    int status; /* of the answer that succeeds */",
           "    bool parkable, idempotent, raw;",
           "    const struct api_schema *query, *body, *reply;",
           "    struct rc (*handler)(struct api_call *call, const void *in, void *out);", "};",
           "extern const struct api_route api_routes[];", "extern const size_t api_routes_n;", "",
           "/* The OpenAPI document itself, as JSON. */", "struct packed api_openapi_json(void);"]
    for r in sorted(routes, key=lambda r: r.path):
        out.append("")
        if r.query:
            out += struct_lines(f"struct api_{r.id}_query", r.query, "")
        out.append(comment(f"{r.method} {r.path}: {r.summary}" + (" call->query is the struct above." if r.query else "")))
        out.append(r.prototype() + ";")
    return out + ["", "#endif"]


def routes_c(routes):
    out = [MADE, '#include "hub/routes.h"', "", "#include <stddef.h>", ""]
    for r in routes:
        if r.query:
            title = f"the query of {r.method} {r.path}"
            out += schema_table(f"struct api_{r.id}_query", f"api_{r.id}_query", title, r.query, False, True)
        out += r.thunk()
    out += ["", "const struct api_route api_routes[] = {"] + [r.row() for r in routes] + ["};"]
    return out + ["const size_t api_routes_n = sizeof api_routes / sizeof *api_routes;"]


def read_permissions(routes):
    """Those of the routes, and those that no route asks for yet (x-permissions)."""
    more = DOC.get("x-permissions", [])
    for name in more:
        if not re.fullmatch(PERMISSION, name):
            fail(DOC.lines["x-permissions"], f"{name} is no permission: noun.verb")
    return sorted({r.permission for r in routes} - NO_PERMISSIONS | set(more))


def permissions_h(names):
    return [MADE, "#ifndef API_PERMISSIONS_H", "#define API_PERMISSIONS_H", "", "#include <stdbool.h>", "#include <stddef.h>", "#include <stdint.h>", "",
            f"#define PERMISSIONS_N {len(names)}", f"#define PERMISSION_WORDS {(len(names) + 63) // 64}", "",
            "/* Sorted.  A bit of a set stands for the name at its place; they differ from build to build, so sets are kept as names. */",
            "extern const char *const api_permissions[PERMISSIONS_N];", "struct permission_set {", "    uint64_t bits[PERMISSION_WORDS];", "};",
            "/* api_permission_find gives the place of a name; false where this build knows no such permission. */",
            "bool api_permission_find(const char *name, size_t *out);", "", "#endif"]


def permissions_c(names):
    return [MADE, '#include "api/permissions.h"', "", "#include <string.h>", "", "const char *const api_permissions[PERMISSIONS_N] = {",
            *(f"    {c_string(name)}," for name in names), "};", "", "bool api_permission_find(const char *name, size_t *out)", "{",
            "    size_t from = 0, to = PERMISSIONS_N;", "    while (from < to) {", "        const size_t at = from + (to - from) / 2;",
            "        const int order = strcmp(name, api_permissions[at]);", "        if (order == 0) {", "            *out = at;",
            "            return true;", "        }", "        if (order < 0)", "            to = at;", "        else", "            from = at + 1;", "    }",
            "    return false;", "}"]


def document_json():
    text = json.dumps(DOC, separators=(",", ":"), ensure_ascii=False).encode()
    packed = gzip.compress(text, 9, mtime=0)
    rows = (packed[i:i + 32] for i in range(0, len(packed), 32))
    return [MADE, '#include "hub/routes.h"', "", "static const uint8_t document[] = {", *("    " + ",".join(map(str, row)) + "," for row in rows), "};", "",
            "struct packed api_openapi_json(void)", "{", f"    return (struct packed){{bytes_of(document, sizeof document), {len(text)}}};", "}"]


def write(path, lines):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(line for line in lines if line is not None) + "\n")


def main():
    global FILE, DOC
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--depfile", help="write the files read, for ninja")
    parser.add_argument("source")
    args = parser.parse_args()
    FILE = args.source
    if args.depfile:
        with open(args.depfile, "w", encoding="utf-8") as out:
            out.write(f"{args.out}/api/types.h: {os.path.abspath(__file__)}\n")
    with open(args.source, encoding="utf-8") as source:
        DOC = yaml.load(source, Loader)
    check_keys(DOC, {"openapi", "info", "servers", "security", "tags", "paths", "components", "x-permissions"}, "document")
    if not str(DOC.get("openapi", "")).startswith("3.1."):
        fail(1, "openapi must be 3.1")
    schemas, maps = {}, []
    for name, spec in DOC["components"]["schemas"].items():
        if spec.get("type") == "object" and "additionalProperties" not in spec:
            schemas[name] = Schema(name, spec)
        elif "additionalProperties" in spec:
            maps.append(name)
        else:
            Field(snake(name), spec, True, False, "")
    ordered = order_schemas(schemas)
    routes = read_routes()
    write(f"{args.out}/api/types.h", types_h(ordered, maps))
    write(f"{args.out}/api/types.c", types_c(ordered, maps))
    permissions = read_permissions(routes)
    write(f"{args.out}/api/permissions.h", permissions_h(permissions))
    write(f"{args.out}/api/permissions.c", permissions_c(permissions))
    write(f"{args.out}/hub/routes.h", routes_h(routes))
    write(f"{args.out}/hub/routes.c", routes_c(routes))
    write(f"{args.out}/hub/openapi_json.c", document_json())


if __name__ == "__main__":
    main()
