/* Whatever a configuration looks like, and however it is said to be written: looking for places in it ends without harm, and what is
 * offered is a plain path, a port and a name.  The first byte chooses the description. */
#include "agent/find.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const descriptions[] = {
    "  text: {blocks: angle, nocase: true, continued: backslash}\n  places: [V]\n  through: [I]\n  when: {E: [\"on\"]}\n  base: R\n"
    "  names: [N, A]\n  listen: [{at: [V, L]}, {port: P, address: B, otherwise: true}]\n  parameters: {c: C, k: K}\n",
    "  text: {headings: [g, f]}\n  places: [b]\n  base: g/base\n  listen: [{at: b 1}]\n  parameters: {c: b crt}\n",
    "  text: {blocks: brace, assign: \"=:\", comment: \"#;\"}\n  places: [s, h]\n  names: [h 2]\n  base: dir\n"
    "  listen: [{at: s 2}, {port: p, address: a, starttls: smtp}]\n  parameters: [{c: pem, k: key}, {c: pem}]\n",
    "  text: {options: true}\n  listen: [{port: port}, {port: \"=993\", when: {ssl: null}}]\n  parameters: {c: ssl-cert, k: ssl-key}\n",
    "  text: {assign: \"=\", continued: indent, nocase: true}\n  names: myhostname\n  parameters: {c: [cert 1, chain 2], k: [key, chain 1]}\n",
    "  text: {format: json}\n  places: [load_files]\n  through: [match, certificate_selection]\n  linked: {tags: any_tag}\n  names: [sni]\n"
    "  listen: [{at: listen}]\n  parameters: {c: certificate, k: key}\n",
    "  text: {format: xml}\n  places: [Certificate]\n  when: {SSLEnabled: [\"true\"]}\n  base: \"={folder.up}\"\n  names: hostName\n"
    "  listen: [{port: port, address: address}]\n"
    "  parameters: [{when: {type: [JKS, \"\"]}, c: certificateKeystoreFile, perhaps: {k: passwordFile}}, {c: certificateFile, k: certificateKeyFile}]\n",
    "  text: {headings: [g, f]}\n  places: [b]\n  base: g/base\n  listed: {files: b crt-list, parameter: c}\n  listen: [{at: b 1}]\n"
    "  parameters: {c: b crt}\n",
    "  text: {blocks: brace, assign: \"=\", commas: true}\n  places: [\"local*\"]\n  through: [\"cert*\"]\n  alone: true\n  base: \"={folder}/x509\"\n"
    "  names: id\n  listen: [{at: s, scheme: ldap, usual: 389, starttls: ldap}]\n"
    "  parameters: [{c: certs, k: \"={folder}/private/{c.name}\"}, {c: file, k: \"={c.stem}.key\"}]\n",
};

static void check(const struct find_place *p)
{
    for (size_t i = 0; i < p->n_params; i++)
        if (p->values[i][0] != '/' || strstr(p->values[i], "/../") != NULL || strstr(p->values[i], "//") != NULL)
            abort();
    for (size_t i = 0; i < p->n_ends; i++)
        if (p->ends[i].port < 1 || p->ends[i].port > 65535 || p->ends[i].address[0] == '\0')
            abort();
    if (p->n_ends > FIND_ENDS_MAX || p->names.n > FIND_NAMES_MAX)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CTX_CLEANUP struct ctx ctx = {0};
    struct connector c;
    struct find_place *places = NULL;
    size_t n = 0;
    if (size < 1 || size > 65536)
        return 0;
    ctx_init(&ctx, &clock_system);
    const char *text = arena_printf(&ctx.arena, "connector: x\nparameters: {c: {type: path}, k: {type: path}}\ndiscover:\n  command: d\n%s",
                                    descriptions[data[0] % (sizeof descriptions / sizeof *descriptions)]);
    if (rc_failed(connector_parse(&ctx, "x.yaml", bytes_z(text), &c)))
        abort();
    if (rc_ok(find_places(&ctx, &c, c.find, bytes_of(data + 1, size - 1), &places, &n)))
        for (const struct find_place *p = places; p != NULL; p = p->next)
            check(p);
    return 0;
}
