/* SSH as a client, for targets without an agent on their host: files by SFTP, commands, over libssh2.
 *
 * The host is known by its pinned key and nothing else: no known_hosts file, no trust on first use, no agent, no forwarding, no
 * configuration of the system.  Algorithms: key exchange curve25519-sha256, ecdh-sha2-nistp256/384/521,
 * diffie-hellman-group16-sha512, diffie-hellman-group18-sha512; host and user keys Ed25519 and ECDSA (libssh2 1.10 knows RSA with
 * SHA-1 only, which is not used); ciphers aes256-ctr, aes192-ctr, aes128-ctr; hmac-sha2-512, hmac-sha2-256; no compression.
 *
 * Everything ends at the ctx's deadline.  What the server sends has ceilings: memory of a session, packets, files, output. */
#ifndef AGENT_RELAY_SSH_H
#define AGENT_RELAY_SSH_H

#include "base/address.h"
#include "base/buf.h"

#define SSH_OUTPUT_MAX   ((size_t)256 << 10) /* of a command; SSH_ERRORS_MAX of its standard error */
#define SSH_ERRORS_MAX   ((size_t)16 << 10)
#define SSH_MEMORY_MAX   ((size_t)16 << 20) /* of libssh2, a session */
#define SSH_GREETING_MAX ((size_t)256 << 10) /* what a server may say until the login is over */
#define SSH_LINE_MAX     4096
#define SSH_HOST_KEYS_MAX 8

struct ssh_config {
    const char *host;
    uint16_t port;
    const char *user;
    const char *host_keys; /* "SHA256:…" as ssh-keygen -l shows it; more of them with spaces between, while a key is replaced */
    struct bytes key;        /* private key, PEM or OpenSSH's format; empty: `password` */
    struct bytes passphrase; /* of the key; empty: none */
    struct bytes password;
    struct address_grants grants;
};

struct ssh;

/* ssh_load loads libssh2: a role calls it before it enters its sandbox.  Elsewhere ssh_open() does.  ssh_stop ends all sessions of
 * this process within a second (E_SHUTTING_DOWN): for a role that is to end. */
RC ssh_load(struct ctx *ctx);
void ssh_stop(void);

/* ssh_open connects, compares the host's key with the pinned ones, and only then logs in.  Fails with E_DNS, E_ADDRESS_REFUSED,
 * E_UNREACHABLE, E_TIMEOUT, E_PEER_IDENTITY (another host key, with both fingerprints), E_FORBIDDEN (the login is refused),
 * E_UNSUPPORTED (no algorithm in common), E_INVALID (a key or fingerprint that cannot be read), E_BAD_ANSWER. */
RC ssh_open(struct ctx *ctx, const struct ssh_config *config, struct ssh **out);
void ssh_close(struct ssh *s); /* NULL is fine */

/* Files: agent/relay/sftp.h says how each is done.  The SFTP channel is opened by the first of them. */
RC ssh_read(struct ctx *ctx, struct ssh *s, const char *path, size_t max, struct buf *out, bool *found);
RC ssh_write(struct ctx *ctx, struct ssh *s, const char *path, struct bytes data, int mode);
RC ssh_keep(struct ctx *ctx, struct ssh *s, const char *path, const char *tag);
RC ssh_restore(struct ctx *ctx, struct ssh *s, const char *path, const char *tag);

/* ssh_run starts a command line with `input` as its standard input and appends its standard output to `out` and its standard error
 * to `err` (over SSH_ERRORS_MAX it is dropped; both may be the same for neither holds a secret).  *exit is its exit code, or 128
 * where a signal ended it.  E_BAD_ANSWER where it says more than SSH_OUTPUT_MAX. */
RC ssh_run(struct ctx *ctx, struct ssh *s, const char *line, struct bytes input, struct buf *out, struct buf *err, int *exit);

/* ssh_put_word appends a value to a command line, as one word whatever reads it there: sh, cmd.exe or PowerShell.  Nothing is
 * quoted, for they do not agree how: a value that holds anything but letters, digits and ". _ - / : @ +", begins with '-', '@' or
 * '+', or is empty, is refused (E_INVALID). */
RC ssh_put_word(struct ctx *ctx, struct bytes value, struct buf *out);

#endif
