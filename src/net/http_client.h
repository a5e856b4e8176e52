/* The HTTP client, over libcurl: http and https only, one request at a time a call, every answer bounded.
 *
 * The addresses connected to are checked by the guard of base/address.h at connect; no proxy of the environment is used; nothing is
 * decompressed; no cookies; no authentication but what the caller's headers hold. */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include "base/address.h"
#include "net/http.h"

/* A pool of handles with their open connections.  Any thread may use it. */
struct http_client;

/* All-zero fields take the values given here.  Everything is copied. */
struct http_client_config {
    const char *user_agent;       /* "certwright" */
    struct address_grants grants; /* what may be reached besides public addresses */
    bool web_ports;               /* outside of the grants only ports 80 and 443: where a stranger chose the URL */
    const char *ca_file;          /* PEM roots; NULL: the system's */
    struct bytes roots_pem;       /* PEM roots, instead of ca_file */
    int64_t date_grace_s;         /* how far a certificate's dates may be off: for hosts whose clock is wrong; 0: not at all */
    const char *unix_socket;      /* connect to this path instead of the URL's host */
    unsigned idle_handles;        /* 4: handles kept for reuse */
};
/* http_client_stop ends all calls of this process within a second (E_SHUTTING_DOWN): for a role that is to end. */
void http_client_stop(void);
bool http_client_stopped(void);
/* http_client_load loads libcurl: a role calls it before it enters its sandbox.  Elsewhere http_client_new() does. */
RC http_client_load(struct ctx *ctx);
RC http_client_new(struct ctx *ctx, const struct http_client_config *config, struct http_client **out);
/* http_client_set_certificate gives the TLS client certificate and its key as PEM.  Wiped from memory with the client. */
RC http_client_set_certificate(struct ctx *ctx, struct http_client *client, struct bytes chain_pem, struct bytes key_pem);
void http_client_free(struct http_client *client); /* no request may be running; NULL is fine */

/* All-zero fields take the values given here. */
struct http_call {
    const char *method; /* "GET" */
    const char *url;
    const struct http_header *headers; /* Content-Type among them */
    size_t headers_n;
    struct bytes body;  /* sent with POST, PUT and PATCH, also when empty */
    int64_t connect_ms; /* 10,000 */
    int64_t total_ms;   /* 60,000; never later than the ctx's deadline */
    size_t body_max;    /* 1 MiB: ceiling of the answer's body */
    size_t head_max;    /* 64 KiB: ceiling of the answer's headers */
    unsigned redirects; /* 0: how many to follow, for GET and HEAD; each hop's URL and address is checked */
    bool once;          /* never sent a second time, also where a kept connection ends before the answer begins (E_UNREACHABLE) */
    const char *ntlm_user, *ntlm_password; /* NTLM (MS-NLMP), which needs three requests of one connection; NULL: not */
    const struct address *connect_to; /* where to connect, whatever the URL's host and port; NULL: there */
    bool skip_verify;   /* accept any certificate: only for http-01, where RFC 8555 section 8.3 allows it */
};

struct http_link {
    const char *url; /* absolute */
    const char *rel;
};

struct http_answer {
    int status;
    struct http_headers headers; /* names in lower case */
    struct bytes body;
    const char *content_type; /* in lower case, without parameters; "" where none */
    const char *location;     /* absolute; NULL where none */
    const char *replay_nonce; /* RFC 8555 section 6.5, checked to be base64url; NULL where none or malformed */
    int64_t retry_after_s;    /* from now, both forms, at most a year; -1 where none */
    struct http_link *links;  /* Link headers (RFC 8288) */
    size_t links_n;
    const char *url;     /* of the last hop */
    const char *address; /* of the server, with port; "" on a Unix socket */
    bool sent;           /* the request went out, or a part of it; said too where the call fails */
};

/* http_client_call does one exchange (and its redirects).  Any status is success; everything in the answer lives in the ctx's
 * arena.  Fails with E_INVALID (URL), E_ADDRESS_REFUSED, E_DNS, E_UNREACHABLE, E_TLS, E_TIMEOUT or E_BAD_ANSWER (over a ceiling,
 * not HTTP, cut short, too many redirects). */
RC http_client_call(struct ctx *ctx, struct http_client *client, const struct http_call *call, struct http_answer *out);
/* http_answer_link returns the first URL with this relation, or NULL. */
const char *http_answer_link(const struct http_answer *a, const char *rel);

#endif
