#include "lib/pg_server.h"

#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a program as the user postgres where we are root (PostgreSQL refuses to run as root). */
static pid_t start(const char *const *argv)
{
    const pid_t parent = getpid(), pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const struct passwd *pw = getuid() ? NULL : getpwnam("postgres");
    if ((pw && (setgid(pw->pw_gid) || setuid(pw->pw_uid))) || getppid() != parent)
        _exit(126);
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr) || chdir("/"))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static bool run(const char *const *argv)
{
    int status = 1;
    const pid_t pid = start(argv);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool program(const char *name, char *path, size_t size)
{
    glob_t g = {0};
    char pattern[128];
    snprintf(pattern, sizeof pattern, "/usr/lib/postgresql/*/bin/%s", name);
    const bool found = !glob(pattern, 0, NULL, &g) && g.gl_pathc;
    if (found)
        snprintf(path, size, "%s", g.gl_pathv[g.gl_pathc - 1]);
    globfree(&g);
    return found;
}

static bool answers(const char *dir, const char *psql)
{
    const char *const argv[] = {psql, "-h", dir, "-U", "test", "-d", "postgres", "-c", "SELECT 1", NULL};
    for (int i = 0; i < 300; i++) {
        if (run(argv))
            return true;
        usleep(50000);
    }
    return false;
}

bool pg_server_start(struct pg_server *s)
{
    return pg_server_start_with(s, "16MB");
}

bool pg_server_start_with(struct pg_server *s, const char *shared_buffers)
{
    char initdb[256], postgres[256], psql[256], data[96], shared[64];
    *s = (struct pg_server){0};
    if (!program("initdb", initdb, sizeof initdb) || !program("postgres", postgres, sizeof postgres) ||
        !program("psql", psql, sizeof psql)) {
        fprintf(stderr, "PostgreSQL is not installed: tools/bootstrap installs it\n");
        return false;
    }
    snprintf(s->dir, sizeof s->dir, "/tmp/cw-pg-XXXXXX");
    if (!mkdtemp(s->dir) || chmod(s->dir, 0755))
        return false;
    const struct passwd *pw = getuid() ? NULL : getpwnam("postgres");
    if (pw && chown(s->dir, pw->pw_uid, pw->pw_gid))
        return false;
    snprintf(data, sizeof data, "%s/data", s->dir);
    const char *const init[] = {initdb, "-D", data, "-A", "trust", "-U", "test", "--no-sync", "-E", "UTF8", "--locale=C", NULL};
    snprintf(shared, sizeof shared, "shared_buffers=%s", shared_buffers);
    const char *const serve[] = {postgres, "-D", data, "-c", "listen_addresses=", "-k", s->dir, "-c", shared, NULL};
    if (!run(init))
        return false;
    s->pid = start(serve);
    snprintf(s->conninfo, sizeof s->conninfo, "host=%s user=test dbname=postgres", s->dir);
    return s->pid > 0 && answers(s->dir, psql);
}

bool pg_server_sql(const struct pg_server *s, const char *sql)
{
    char psql[256];
    if (!program("psql", psql, sizeof psql))
        return false;
    const char *const argv[] = {psql, "-h", s->dir, "-U", "test", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", sql, NULL};
    return run(argv);
}

void pg_server_stop(struct pg_server *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGINT); /* fast shutdown */
        waitpid(s->pid, NULL, 0);
    }
    const char *const rm[] = {"/bin/rm", "-rf", s->dir, NULL};
    const pid_t pid = s->dir[0] ? fork() : -1;
    if (!pid) {
        execv(rm[0], (char *const *)(uintptr_t)rm);
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
    *s = (struct pg_server){0};
}
