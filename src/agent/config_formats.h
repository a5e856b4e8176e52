/* Readers of configurations that are documents: each makes of one document what the reader of lines makes of lines.
 *
 *     XML    an element is a block of its name, an attribute a line of its name and value; what stands between elements is left out
 *     JSON   an object is a block of its key, any other value a line of its key and what it holds; of a list the values are one
 *            line, and each object a block of that key
 *
 * A document that is not well-formed is an error: the service would not take it either. */
#ifndef AGENT_CONFIG_FORMATS_H
#define AGENT_CONFIG_FORMATS_H

#include "agent/config_text.h"

struct config_reader;

/* config_xml_read reads XML 1.0 in UTF-8.  Refused are a document type that declares anything (so that there are no entities but
 * the five and those of numbers), elements that do not fit each other, and what is no UTF-8. */
RC config_xml_read(struct config_reader *r, struct bytes text);
RC config_json_read(struct config_reader *r, struct bytes text);

/* The tree under construction: words, which then become a line or the head of a block. */
struct ctx *config_reader_ctx(struct config_reader *r);
RC config_put_word(struct config_reader *r, const char *word);
RC config_put_line(struct config_reader *r);
RC config_open(struct config_reader *r);
void config_close(struct config_reader *r);
/* config_open_name returns the first word of the block that is open; NULL where none is. */
const char *config_open_name(const struct config_reader *r);
void config_next_line(struct config_reader *r); /* of the file */
/* config_refuse fails with the place that is read. */
RC config_refuse(struct config_reader *r, const char *why);

#endif
