/* SPDX-License-Identifier: Apache-2.0
 * See dns.h. A question's name is copied without compression, as a query has none in it. */
#include "docker/dns.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"

enum {
	LABEL_MAX = 63,
	FLAG_RESPONSE = 0x8000,
	FLAG_AUTHORITATIVE = 0x0400,
	FLAG_TRUNCATED = 0x0200,
	FLAG_RECURSION_WANTED = 0x0100,
	FLAG_RECURSION = 0x0080,
	MASK_OPERATION = 0x7800,
	CLASS_IN = 1,
	POINTER_TO_QUESTION = 0xc000 | DNS_HEADER,
	RECORD_HEAD = 12, /* with a compressed name */
	TTL_SECONDS = 60,
	AT_ID = 0,
	AT_FLAGS = 2,
	AT_QUESTIONS = 4,
	AT_ANSWERS = 6,
};

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

uint16_t dns_id(const uint8_t *message)
{
	return get16(message + AT_ID);
}

void dns_set_id(uint8_t *message, uint16_t id)
{
	put16(message + AT_ID, id);
}

/* ---- queries ---- */

/* The name at the question's begin: the place behind it, or 0. */
static size_t read_name(const uint8_t *data, size_t size, struct dns_query *q)
{
	size_t at = DNS_HEADER, length = 0;
	q->is_plain = 1;
	while (at < size && data[at]) {
		size_t label = data[at++];
		if (label > LABEL_MAX || label > size - at || length + label + (length > 0) > DNS_NAME_MAX)
			return 0;
		if (length)
			q->name[length++] = '.';
		for (size_t i = 0; i < label; i++) {
			unsigned char c = data[at++];
			q->is_plain &= isalnum(c) || c == '-' || c == '_';
			q->name[length++] = (char)tolower(c);
		}
	}
	q->name[length] = '\0';
	q->is_plain &= strlen(q->name) == length && length > 0;
	return at < size ? at + 1 : 0;
}

int dns_parse(const void *data, size_t size, struct dns_query *ret)
{
	const uint8_t *bytes = data;
	*ret = (struct dns_query){ .bytes = bytes, .size = DNS_HEADER };
	if (size < DNS_HEADER || (get16(bytes + AT_FLAGS) & FLAG_RESPONSE))
		return -EBADMSG;
	if (get16(bytes + AT_FLAGS) & MASK_OPERATION)
		return -EOPNOTSUPP;
	size_t at = get16(bytes + AT_QUESTIONS) == 1 && !get16(bytes + AT_ANSWERS) ? read_name(bytes, size, ret) : 0;
	if (!at || size - at < 4)
		return -EINVAL;
	ret->type = get16(bytes + at);
	ret->class = get16(bytes + at + 2);
	ret->is_plain &= ret->class == CLASS_IN;
	ret->size = at + 4;
	return 0;
}

int dns_parse_reverse(const char *name, uint32_t *ret)
{
	unsigned part[4];
	char again[DNS_NAME_MAX + 1];
	if (sscanf(name, "%3u.%3u.%3u.%3u.", &part[0], &part[1], &part[2], &part[3]) != 4)
		return -EINVAL;
	snprintf(again, sizeof again, "%u.%u.%u.%u.in-addr.arpa", part[0], part[1], part[2], part[3]);
	if (!streq(again, name))
		return -EINVAL;
	uint32_t address = 0;
	for (int i = 3; i >= 0; i--) {
		if (part[i] > UINT8_MAX)
			return -EINVAL;
		address = address << 8 | part[i];
	}
	*ret = address;
	return 0;
}

int dns_parse_reverse6(const char *name, struct in6_addr *ret)
{
	static const char digits[] = "0123456789abcdef", end[] = "ip6.arpa";
	struct in6_addr address = IN6ADDR_ANY_INIT;
	const size_t nibbles = 2 * sizeof address;
	if (strlen(name) != 2 * nibbles + sizeof end - 1 || !streq(name + 2 * nibbles, end))
		return -EINVAL;
	for (size_t i = 0; i < nibbles; i++) {
		const char *digit = strchr(digits, name[2 * i]);
		if (!digit || !*digit || name[2 * i + 1] != '.')
			return -EINVAL;
		address.s6_addr[sizeof address - 1 - i / 2] |= (uint8_t)((digit - digits) << (i % 2 ? 4 : 0));
	}
	*ret = address;
	return 0;
}

/* ---- answers ---- */

static void put_head(const struct dns_query *q, uint8_t *out, unsigned flags, size_t answers)
{
	uint16_t asked = get16(q->bytes + AT_FLAGS);
	memcpy(out, q->bytes, q->size);
	put16(out + AT_FLAGS,
	    FLAG_RESPONSE | FLAG_RECURSION | (asked & (MASK_OPERATION | FLAG_RECURSION_WANTED)) | flags);
	put16(out + AT_QUESTIONS, q->size > DNS_HEADER);
	put16(out + AT_ANSWERS, (unsigned)answers);
	put32(out + AT_ANSWERS + 2, 0); /* neither authorities nor more */
}

size_t dns_answer(const struct dns_query *q, enum dns_code code, uint8_t *out)
{
	put_head(q, out, code, 0);
	return q->size;
}

static uint8_t *put_record(uint8_t *at, enum dns_type type, size_t size)
{
	put16(at, POINTER_TO_QUESTION);
	put16(at + 2, type);
	put16(at + 4, CLASS_IN);
	put32(at + 6, TTL_SECONDS);
	put16(at + 10, (unsigned)size);
	return at + RECORD_HEAD;
}

size_t dns_answer_addresses(const struct dns_query *q, enum dns_type type, const void *addresses, size_t count,
    uint8_t *out, size_t max)
{
	size_t each = type == DNS_AAAA ? sizeof(struct in6_addr) : sizeof(struct in_addr);
	size_t room = (max - q->size) / (RECORD_HEAD + each), given = MIN(count, room);
	put_head(q, out, FLAG_AUTHORITATIVE | (given < count ? FLAG_TRUNCATED : 0), given);
	uint8_t *at = out + q->size;
	for (size_t i = 0; i < given; i++) {
		at = put_record(at, type, each);
		memcpy(at, (const uint8_t *)addresses + i * each, each);
		at += each;
	}
	return (size_t)(at - out);
}

/* The size of the text as labels, or 0. */
static size_t encode_name(const char *name, uint8_t *out, size_t max)
{
	size_t used = 0;
	while (*name) {
		size_t label = strcspn(name, ".");
		if (!label || label > LABEL_MAX || used + label + 2 > max)
			return 0;
		out[used++] = (uint8_t)label;
		memcpy(out + used, name, label);
		used += label;
		name += label + (name[label] == '.');
	}
	out[used++] = 0;
	return used;
}

size_t dns_answer_name(const struct dns_query *q, const char *name, uint8_t *out, size_t max)
{
	uint8_t encoded[DNS_NAME_MAX + 2];
	size_t size = encode_name(name, encoded, sizeof encoded);
	if (!size || q->size + RECORD_HEAD + size > max)
		return dns_answer(q, DNS_NO_SUCH_NAME, out);
	put_head(q, out, FLAG_AUTHORITATIVE, 1);
	memcpy(put_record(out + q->size, DNS_PTR, size), encoded, size);
	return q->size + RECORD_HEAD + size;
}

/* ---- answers of servers ---- */

int dns_is_answer(const struct dns_query *q, uint16_t id, const uint8_t *answer, size_t size)
{
	if (size < DNS_HEADER || dns_id(answer) != id || !(get16(answer + AT_FLAGS) & FLAG_RESPONSE))
		return 0;
	if (!get16(answer + AT_QUESTIONS)) /* an error may leave the question out */
		return !get16(answer + AT_ANSWERS);
	if (get16(answer + AT_QUESTIONS) != 1 || size < q->size)
		return 0;
	size_t end = MAX(q->size, (size_t)DNS_HEADER + 4) - 4; /* type and class */
	for (size_t i = DNS_HEADER; i < end; i++)
		if (tolower(answer[i]) != tolower(q->bytes[i]))
			return 0;
	return memcmp(answer + end, q->bytes + end, q->size - end) == 0;
}
