/* One binary: a role of the parent, or a command. */
#include "cli/cli.h"
#include "os/role.h"
#include "server/server.h"

int main(int argc, char **argv)
{
    if (role_asked(argc, argv)) {
        struct role roles[SERVER_ROLES];
        server_roles(roles);
        return role_main(roles, SERVER_ROLES, argc, argv);
    }
    static const struct cli_hooks hooks = {.init = server_init, .run = server_run, .join = server_join, .check = server_check,
                                           .restore = server_restore, .verify_backup = server_verify_backup,
                                           .recovery_split = server_recovery_split};
    return cli_main(argc, argv, &hooks);
}
