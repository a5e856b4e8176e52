#!/usr/bin/env python3
"""The manual page, from src/cli/verbs.def and src/base/errors.def.

    gen-docs.py --out certwright.1 src/cli/verbs.def src/base/errors.def
"""
import argparse
import ast
import re
import sys

ROW = re.compile(r"^(NOUN|VERB|OPTION)\((.*)\)$")
EXIT_TEXTS = {0: "done", 1: "something else failed", 2: "the command line or the request is not valid", 3: "refused by policy",
              4: "not there", 5: "awaits approval", 6: "failed; the old certificate is still served", 7: "the hub is not reachable"}


def split_args(text):
    """The arguments of a row: strings and bare words."""
    out = []
    for match in re.finditer(r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z0-9_]+)\s*(?:,|$)', text):
        word = match.group(1)
        out.append(ast.literal_eval(word) if word.startswith('"') else word)
    return out


def read_verbs(path):
    rows = {"NOUN": [], "VERB": [], "OPTION": []}
    with open(path, encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            match = ROW.match(line.strip())
            if not match:
                continue
            args = split_args(match.group(2))
            if len(args) != {"NOUN": 2, "VERB": 5, "OPTION": 6}[match.group(1)]:
                sys.exit(f"{path}:{number}: {match.group(1)} has {len(args)} arguments")
            rows[match.group(1)].append(args)
    return rows


def read_exits(path):
    codes = {}
    with open(path, encoding="utf-8") as source:
        for line in source:
            match = re.match(r'ERROR\((\w+),.*,\s*(\d+)\s+"', line.strip())
            if match:
                codes.setdefault(int(match.group(2)), []).append(match.group(1).lower())
    return codes


def roff(text):
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def option_lines(option):
    _, _, name, value, _, text = option
    shown = f"\\-\\-{roff(name)}" + (f" \\fI{roff(value)}\\fR" if value else "")
    return [".TP", f"\\fB{shown}\\fR" if not value else f"\\fB\\-\\-{roff(name)}\\fR \\fI{roff(value)}\\fR", roff(text)]


def page(rows, exits):
    out = ['.TH CERTWRIGHT 1', ".SH NAME", "certwright \\- keeps every certificate valid", ".SH SYNOPSIS",
           ".B certwright", "\\fINOUN VERB\\fR [\\fINAME\\fR...] [\\fIOPTION\\fR...]", ".SH DESCRIPTION",
           "A hub issues certificates, installs them where they are served, has the server reload, proves by a handshake that the new one is "
           "served, puts back what was there when it is not, and renews in time.  These commands are a client of its API.",
           ".PP", "\\fBcertwright cert add www.example.org \\-\\-to nginx\\fR does all of it for one name.",
           ".SH OPTIONS OF EVERY COMMAND"]
    for option in rows["OPTION"]:
        if not option[0] and not option[1]:
            out += option_lines(option)
    for noun, title in [("", "COMMANDS")] + [(n, f"{n.upper()}: {t.upper()}") for n, t in rows["NOUN"]]:
        out.append(f".SH {roff(title)}")
        for verb in [v for v in rows["VERB"] if v[0] == noun]:
            words = " ".join(w for w in ("certwright", noun, verb[1]) if w)
            out += [".SS", f"\\fB{roff(words)}\\fR {roff(verb[3])}", roff(verb[4])]
            for option in rows["OPTION"]:
                if option[0] == noun and option[1] == verb[1]:
                    out += option_lines(option)
    out.append(".SH EXIT STATUS")
    for code in sorted(exits):
        if code not in EXIT_TEXTS:
            sys.exit(f"errors.def has the exit code {code}, which means nothing")
        out += [".TP", str(code), roff(EXIT_TEXTS[code])]
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("verbs")
    parser.add_argument("errors")
    args = parser.parse_args()
    with open(args.out, "w", encoding="utf-8") as out:
        out.write("\n".join(page(read_verbs(args.verbs), read_exits(args.errors))) + "\n")


if __name__ == "__main__":
    main()
