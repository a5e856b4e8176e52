/* The thread that makes backups (core/backup.h): when somebody asks, and when one is due. */
#ifndef HUB_BACKUP_H
#define HUB_BACKUP_H

#include "hub/hub.h"

struct hub_backup;
RC hub_backup_begin(struct ctx *ctx, struct hub *hub, struct hub_backup **out);
/* hub_backup_wake has it look now; NULL is fine. */
void hub_backup_wake(struct hub_backup *b);
/* hub_backup_end waits for one that is being made; NULL is fine. */
void hub_backup_end(struct hub_backup *b);

#endif
