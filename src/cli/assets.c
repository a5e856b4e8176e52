#include "cli/assets.h"

#include "base/address.h"

/* A host: a name, an address, or both. */
struct host {
    const char *name, *address; /* "": not known */
    bool v6;
};

/* One host in the form of a product.  False: it takes none such. */
struct form {
    const char *begin, *between, *end, *none; /* none: instead of all of it where there is nothing */
    bool (*put)(struct json_out *j, struct buf *b, const struct host *h);
    const char *takes;
};

/* Each asset has at least one of fqdn, ipv4, netbios_name and mac_address. */
static bool put_tenable(struct json_out *j, struct buf *b, const struct host *h)
{
    (void)b;
    if (!*h->name && (!*h->address || h->v6))
        return false;
    json_open_obj(j, NULL);
    if (*h->name) {
        json_open_list(j, "fqdn");
        json_put_str(j, NULL, h->name);
        json_close(j);
    }
    if (*h->address && !h->v6) {
        json_open_list(j, "ipv4");
        json_put_str(j, NULL, h->address);
        json_close(j);
    }
    json_close(j);
    return true;
}

/* An address is scanned as it is; a name is looked up by the product. */
static bool put_rapid7(struct json_out *j, struct buf *b, const struct host *h)
{
    (void)b;
    json_put_str(j, NULL, *h->address ? h->address : h->name);
    return true;
}

static bool put_qualys(struct json_out *j, struct buf *b, const struct host *h)
{
    (void)j;
    if (!*h->address || h->v6)
        return false;
    buf_put_z(b, h->address);
    return true;
}

static const struct form forms[] = {
    [CLI_TENABLE] = {"{\"assets\": [\n  ", ",\n  ", "\n], \"source\": \"certwright\"}\n",
                     "{\"assets\": [], \"source\": \"certwright\"}\n", put_tenable, "names and IPv4 addresses"},
    [CLI_RAPID7] = {"[\n  ", ",\n  ", "\n]\n", "[]\n", put_rapid7, "names and addresses"},
    [CLI_QUALYS] = {"", "\r\n", "\r\n", "", put_qualys, "IPv4 addresses"},
};

bool cli_assets_asked(const struct cli *cli)
{
    return cli->output == CLI_TENABLE || cli->output == CLI_RAPID7 || cli->output == CLI_QUALYS;
}

static struct rc put_host(struct cli *cli, struct cli_assets *a, const struct host *h)
{
    const struct form *f = &forms[cli->output];
    struct buf b;
    struct json_out j;
    buf_init_arena(&b, &cli->ctx->arena, 4096);
    json_begin(&j, &b);
    if (!f->put(&j, &b, h)) {
        a->left_out++;
        return RC_OK;
    }
    TRY(buf_status(&b));
    const char *text = buf_z(&b);
    if (json_object_get(a->told, text))
        return RC_OK;
    if (json_object_set_new(a->told, text, json_true()))
        return ctx_fail(cli->ctx, E_NO_MEMORY, "no memory for the list");
    fputs(a->n++ ? f->between : f->begin, stdout);
    fputs(text, stdout);
    return RC_OK;
}

/* What may stand for a host: an address, or a name that is no pattern; `*h` gets it. */
static bool host_of(const char *text, struct host *h)
{
    struct address address;
    if (address_parse(bytes_z(text), &address)) {
        h->address = text;
        h->v6 = strchr(text, ':') != NULL;
        return true;
    }
    if (!*text || strlen(text) > 253 || text[strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._")])
        return false;
    h->name = text;
    return true;
}

/* An endpoint of a network: where it is, and the name that was asked for there; of a list that was brought in, what it says of
 * the place.  Files and the like are no hosts. */
static struct rc put_endpoint(struct cli *cli, struct cli_assets *a, const json_t *e, size_t *hosts)
{
    const char *kind = cli_text(e, "kind"), *name = cli_text(e, "name"), *at = NULL;
    struct host h = {"", "", false};
    uint16_t port = 0;
    const bool listed = str_equal(kind, "list");
    if ((!listed && !str_equal(kind, "tls")) || (listed && !*name))
        return RC_OK;
    if (rc_failed(address_parse_host_port(cli->ctx, bytes_z(listed ? name : cli_text(e, "place")), 443, &at, &port))) {
        ctx_forget(cli->ctx);
        return RC_OK;
    }
    if (!host_of(at, &h))
        return RC_OK;
    if (!listed)
        (void)host_of(name, &h);
    ++*hosts;
    return put_host(cli, a, &h);
}

/* A certificate is where it was seen; one that was seen nowhere is of the hosts that it names. */
static struct rc put_certificate(struct cli *cli, struct cli_assets *a, const json_t *c)
{
    const char *print = cli_text(c, "fingerprint");
    const json_t *names = json_object_get(c, "names"), *seen;
    json_auto_t *shown = NULL;
    size_t hosts = 0;
    TRY(cli_call(cli, "GET", cli_path(cli, "/api/v1/certificates/", print, ""), (struct bytes){0}, &shown));
    seen = json_object_get(shown, "seen");
    for (size_t i = 0; i < json_array_size(seen); i++)
        TRY(put_endpoint(cli, a, json_array_get(seen, i), &hosts));
    for (size_t i = 0; !hosts && i < json_array_size(names); i++) {
        struct host h = {"", "", false};
        const char *name = json_string_value(json_array_get(names, i));
        if (name && host_of(name, &h))
            TRY(put_host(cli, a, &h));
    }
    return RC_OK;
}

RC cli_assets_put(struct cli *cli, struct cli_assets *a, const json_t *items)
{
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        size_t hosts = 0;
        TRY(json_object_get(item, "place") ? put_endpoint(cli, a, item, &hosts) : put_certificate(cli, a, item));
    }
    return RC_OK;
}

void cli_assets_end(struct cli *cli, const struct cli_assets *a)
{
    const struct form *f = &forms[cli->output];
    fputs(a->n ? f->end : f->none, stdout);
    if (a->left_out)
        fprintf(stderr, "%zu host%s left out: it takes %s.\n", a->left_out, a->left_out == 1 ? " was" : "s were", f->takes);
}
