#include "cli/desired.h"

#include "api/types.h"

/* Teams are made within "team", shown with "parent" and moved to "parent". */
static void team_like_file(const json_t *seen, json_t *out)
{
    json_object_set_new(out, "team", json_string(cli_text(seen, "parent")));
}

static void dns_like_file(const json_t *seen, json_t *out)
{
    size_t i;
    const json_t *zone;
    json_t *zones = json_array();
    json_array_foreach(json_object_get(seen, "zones"), i, zone) json_array_append_new(zones, json_string(cli_text(zone, "zone")));
    json_object_set_new(out, "zones", zones);
}

static void channel_like_file(const json_t *seen, json_t *out)
{
    size_t i;
    const json_t *address;
    json_t *addresses = json_array();
    json_array_foreach(json_object_get(seen, "addresses"), i, address)
        json_array_append_new(addresses, json_string(cli_text(address, "address")));
    json_object_set_new(out, "addresses", addresses);
}

/* A built-in rule that nobody has edited follows the release: only whether it is on is said of it. */
static void rule_like_file(const json_t *seen, json_t *out)
{
    if (json_is_true(json_object_get(seen, "built_in")) && !json_is_true(json_object_get(seen, "edited")))
        json_object_del(out, "spec");
}

/* What our own CA is trusted by follows from the CA. */
static void issuer_like_file(const json_t *seen, json_t *out)
{
    if (str_equal(cli_text(seen, "kind"), "ca"))
        json_object_del(out, "ca_roots_pem");
}

const struct desired_kind desired_kinds[] = {
    {.key = "teams",
     .one = "team",
     .path = "/api/v1/teams",
     .made = &api_team_new_schema,
     .patch = &api_team_patch_schema,
     .like_file = team_like_file},
    {.key = "roles", .one = "role", .path = "/api/v1/roles", .made = &api_role_new_schema, .patch = &api_role_patch_schema},
    {.key = "profiles",
     .one = "profile",
     .path = "/api/v1/profiles",
     .made = &api_profile_new_schema,
     .patch = &api_profile_patch_schema},
    {.key = "dns_providers",
     .one = "DNS provider",
     .path = "/api/v1/dns-providers",
     .made = &api_dns_provider_new_schema,
     .patch = &api_dns_provider_patch_schema,
     .like_file = dns_like_file,
     .not_here = (const char *const[]){"no_test", NULL}},
    {.key = "issuers",
     .one = "issuer",
     .path = "/api/v1/issuers",
     .made = &api_issuer_new_schema,
     .patch = &api_issuer_patch_schema,
     .like_file = issuer_like_file,
     .not_here = (const char *const[]){"eab", "account_key", NULL}},
    {.key = "targets",
     .one = "target",
     .path = "/api/v1/targets",
     .made = &api_target_new_schema,
     .patch = &api_target_patch_schema},
    {.key = "collections",
     .one = "collection",
     .path = "/api/v1/collections",
     .made = &api_collection_new_schema,
     .patch = &api_collection_patch_schema},
    {.key = "channels",
     .one = "channel",
     .path = "/api/v1/channels",
     .made = &api_channel_new_schema,
     .patch = &api_channel_patch_schema,
     .like_file = channel_like_file},
    {.key = "rules",
     .one = "rule",
     .path = "/api/v1/rules",
     .made = &api_rule_new_schema,
     .patch = &api_rule_patch_schema,
     .like_file = rule_like_file,
     .whole = true,
     .built_ins = true},
    {.key = "certificates",
     .one = "certificate",
     .path = "/api/v1/managed-certificates",
     .made = &api_managed_certificate_new_schema,
     .patch = &api_managed_certificate_patch_schema,
     .not_here = (const char *const[]){"csr", NULL}},
};
const size_t desired_kinds_n = sizeof desired_kinds / sizeof *desired_kinds;

bool desired_hidden(const struct desired_kind *kind, const char *field)
{
    for (const char *const *f = kind->not_here; f && *f; f++)
        if (str_equal(*f, field))
            return true;
    return false;
}

RC desired_teams(struct cli *cli, json_t **out)
{
    json_auto_t *all = NULL;
    TRY(cli_all(cli, "/api/v1/teams", INT64_MAX, &all));
    size_t i;
    const json_t *team;
    *out = json_object();
    json_array_foreach(all, i, team)
    {
        json_object_set_new(*out, cli_text(team, "id"), json_string(cli_text(team, "name")));
        if (!*cli_text(team, "parent"))
            json_object_set_new(*out, "", json_string(cli_text(team, "name")));
    }
    return RC_OK;
}

/* What it would be if nobody had said anything. */
static bool is_initial(const struct api_field *f, const json_t *v)
{
    if (!(f->flags & API_DEFAULT))
        return json_is_null(v) || (json_is_string(v) && !*json_string_value(v)) || (json_is_array(v) && !json_array_size(v)) ||
               (json_is_object(v) && !json_object_size(v));
    return (json_is_integer(v) && json_integer_value(v) == f->initial) ||
           (json_is_boolean(v) && json_is_true(v) == (f->initial != 0)) ||
           (json_is_string(v) && f->initial_text && str_equal(json_string_value(v), f->initial_text));
}

json_t *desired_said(const struct api_schema *schema, const json_t *object)
{
    json_t *out = json_object();
    for (size_t i = 0; i < schema->fields_n; i++) {
        const struct api_field *f = &schema->fields[i];
        json_t *v = json_object_get(object, f->name), *item, *said;
        size_t k;
        if (!v || is_initial(f, v))
            continue;
        if (f->ref && json_is_object(v)) {
            json_object_set_new(out, f->name, desired_said(f->ref, v));
        } else if (f->ref && json_is_array(v)) {
            said = json_array();
            json_array_foreach(v, k, item) json_array_append_new(said, desired_said(f->ref, item));
            json_object_set_new(out, f->name, said);
        } else {
            json_object_set(out, f->name, v);
        }
    }
    return out;
}

static json_t *seen(const struct desired_kind *kind, const json_t *item, const json_t *teams, bool whole)
{
    json_auto_t *made_like = json_object();
    const char *team = json_string_value(json_object_get(teams, cli_text(item, "team_id")));
    json_object_update(made_like, (json_t *)item);
    if (team)
        json_object_set_new(made_like, "team", json_string(team));
    if (kind->like_file)
        kind->like_file(item, made_like);
    json_t *out = json_object();
    for (size_t i = 0; i < kind->made->fields_n; i++) {
        const struct api_field *f = &kind->made->fields[i];
        json_t *v = json_object_get(made_like, f->name);
        const bool of_all =
            str_equal(f->name, "team") && str_equal(json_string_value(v), json_string_value(json_object_get(teams, "")));
        if (!v || desired_hidden(kind, f->name) || (!whole && (is_initial(f, v) || of_all)))
            continue;
        if (kind->whole && f->ref && json_is_object(v))
            json_object_set_new(out, f->name, desired_said(f->ref, v));
        else
            json_object_set(out, f->name, v);
    }
    return out;
}

/* Made at each start of a hub where it is missing. */
static bool is_everywhere(const char *name)
{
    static const char *const names[] = {"tls-server", "tls-client", "tls-mutual", "ca"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_equal(name, names[i]))
            return true;
    return false;
}

RC desired_read(struct cli *cli, const struct desired_kind *kind, const json_t *teams, bool whole, json_t **out, json_t **kept)
{
    json_auto_t *all = NULL;
    TRY(cli_all(cli, kind->path, INT64_MAX, &all));
    size_t i;
    json_t *item;
    *out = json_object();
    *kept = json_object();
    json_array_foreach(all, i, item)
    {
        const char *name = cli_text(item, "name");
        const bool root = str_equal(kind->key, "teams") && !*cli_text(item, "parent");
        const bool found = json_is_true(json_object_get(item, "found"));
        const bool built_in = json_is_true(json_object_get(item, "built_in"));
        const bool not_ours =
            root || (built_in && !kind->built_ins) || (found && !json_array_size(json_object_get(item, "managed_by")));
        if (not_ours || built_in || found || is_everywhere(name))
            json_object_set_new(*kept, name, json_boolean(not_ours));
        json_object_set_new(*out, name, seen(kind, item, teams, whole));
    }
    return RC_OK;
}
