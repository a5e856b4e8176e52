/* JSON as YAML that people edit, and base/yaml.h reads as the same. */
#ifndef CLI_YAML_OUT_H
#define CLI_YAML_OUT_H

#include "base/buf.h"
#include "base/json.h"

/* yaml_out_list writes `key:` and the items of an array of objects below it. */
void yaml_out_list(struct buf *b, const char *key, const json_t *items);

#endif
