/* A small part of XML, read strictly: one element of an answer, its attributes, and the attributes of its children.  For lists that
 * are written back: what is not understood whole is refused (E_BAD_ANSWER), never skipped.  No comments, CDATA or DTD; names
 * without regard to case. */
#ifndef AGENT_RELAY_PUSH_XML_H
#define AGENT_RELAY_PUSH_XML_H

#include "base/buf.h"
#include "base/ctx.h"

/* push_xml_attribute appends the value of an attribute of the element, which may be there once.  *found is false where either is
 * not there. */
RC push_xml_attribute(struct ctx *ctx, struct bytes doc, const char *element, const char *attribute, struct buf *out, bool *found);
/* push_xml_children appends a JSON list with an object for each child: its attributes.  Children of another name, with a content of
 * their own, or text between them are refused. */
RC push_xml_children(struct ctx *ctx, struct bytes doc, const char *element, const char *child, struct buf *out, bool *found);

#endif
