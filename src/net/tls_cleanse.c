#include "net/tls_internal.h"

void tls_cleanse(void *ssl_ctx)
{
    SSL_CTX_set_options(ssl_ctx, SSL_OP_CLEANSE_PLAINTEXT);
}
