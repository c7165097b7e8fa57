/* The addresses of a dataset's chunks, from the version 1 B-tree that HDF5 writes by default
 * (HDF5 File Format Specification, III.A.1, IV.A.1 and IV.A.2.i). Whatever looks otherwise than
 * expected ends the attempt: HDF5 is asked then, so nothing here need report an error.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "store/store_rows.h"

/* Levels above the leaves: 64 children a node make six levels more than any store needs. */
#define MAX_LEVEL         8
#define MAX_BLOCKS        64
#define MESSAGE_LAYOUT    0x0008u
#define MESSAGE_CONTINUED 0x0010u
#define UNSET             UINT64_MAX

/* What is being looked for. */
typedef struct index_walk {
    const tamis__input *input;
    uint64_t span, bytes, columns;
    uint64_t *address;
    uint64_t chunks, found;
} index_walk;

static uint64_t little(const unsigned char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = bytes; i-- > 0;) value = value << 8 | at[i];
    return value;
}

/* `size` bytes at an address; NULL when they are not all in the file. */
static const unsigned char *bytes_at(const tamis__input *input, uint64_t address, uint64_t size)
{
    if (address > input->size || size > input->size - address) return NULL;
    return input->data + address;
}

/* --- the tree --------------------------------------------------------------------------------- */

#define NODE_HEADER 24u
#define KEY         32u /* size, filter mask, and three offsets: row, column, byte of the value */
#define ENTRY       40u /* a key and the address of its child */

static bool take_chunk(index_walk *walk, const unsigned char *key, uint64_t address)
{
    uint64_t row = little(key + 8, 8), column = little(key + 16, 8), i = row / walk->span;
    if (little(key, 4) != walk->bytes || little(key + 4, 4) != 0) return false;
    if (column != 0 || row % walk->span || i >= walk->chunks || walk->address[i] != UNSET)
        return false;
    walk->address[i] = address;
    walk->found++;
    return true;
}

static bool walk_node(index_walk *walk, uint64_t address, unsigned level)
{
    const unsigned char *node = bytes_at(walk->input, address, NODE_HEADER);
    if (!node || memcmp(node, "TREE", 4) != 0 || node[4] != 1 || node[5] != level) return false;
    uint64_t entries = little(node + 6, 2);
    if (entries == 0 || !bytes_at(walk->input, address, NODE_HEADER + entries * ENTRY + KEY))
        return false;
    for (uint64_t i = 0; i < entries; i++) {
        const unsigned char *key = node + NODE_HEADER + i * ENTRY;
        uint64_t child = little(key + KEY, 8);
        if (level == 0 ? !take_chunk(walk, key, child) : !walk_node(walk, child, level - 1))
            return false;
    }
    return true;
}

static bool walk_tree(index_walk *walk, uint64_t root)
{
    const unsigned char *node = bytes_at(walk->input, root, NODE_HEADER);
    for (uint64_t i = 0; i < walk->chunks; i++) walk->address[i] = UNSET;
    return node && node[5] <= MAX_LEVEL && walk_node(walk, root, node[5]) &&
           walk->found == walk->chunks;
}

/* --- the object header ------------------------------------------------------------------------ */

/* Version 3 of the layout message, chunked, two dimensions and the value's size. */
static bool read_layout(const index_walk *walk, const unsigned char *message, uint64_t size,
                        uint64_t *ret_root)
{
    if (size < 23 || message[0] != 3 || message[1] != 2 || message[2] != 3) return false;
    if (little(message + 11, 4) != walk->span || little(message + 15, 4) != walk->columns)
        return false;
    *ret_root = little(message + 3, 8);
    return true;
}

typedef struct header_blocks {
    uint64_t address[MAX_BLOCKS], size[MAX_BLOCKS];
    unsigned blocks;
} header_blocks;

/* Look through one block of messages; blocks that continue it are noted. */
static bool scan_block(const index_walk *walk, header_blocks *list, unsigned block,
                       uint64_t *ret_root)
{
    uint64_t size = list->size[block];
    const unsigned char *bytes = bytes_at(walk->input, list->address[block], size);
    for (uint64_t at = 0; bytes && at + 8 <= size;) {
        uint64_t type = little(bytes + at, 2), length = little(bytes + at + 2, 2);
        const unsigned char *message = bytes + at + 8;
        if (length > size - at - 8) return false;
        if (type == MESSAGE_LAYOUT) return read_layout(walk, message, length, ret_root);
        if (type == MESSAGE_CONTINUED && length >= 16 && list->blocks < MAX_BLOCKS) {
            list->address[list->blocks] = little(message, 8);
            list->size[list->blocks++] = little(message + 8, 8);
        }
        at += 8 + length;
    }
    return false;
}

static bool find_root(const index_walk *walk, uint64_t header, uint64_t *ret_root)
{
    header_blocks list = {.blocks = 1};
    const unsigned char *prefix = bytes_at(walk->input, header, 16);
    if (!prefix || prefix[0] != 1) return false;
    list.address[0] = header + 16;
    list.size[0] = little(prefix + 8, 4);
    for (unsigned i = 0; i < list.blocks; i++)
        if (scan_block(walk, &list, i, ret_root)) return true;
    return false;
}

/* --- entry ------------------------------------------------------------------------------------ */

/* Where the dataset's header is. Only HDF5 1.10 both answers this and needs it. */
static bool header_address(hid_t dataset, uint64_t *ret_address)
{
#if H5_VERSION_GE(1, 10, 3) && !H5_VERSION_GE(1, 12, 0)
    H5O_info_t info;
    if (H5Oget_info2(dataset, &info, H5O_INFO_BASIC) < 0) return false;
    *ret_address = info.addr;
    return true;
#else
    (void)dataset, (void)ret_address;
    return false;
#endif
}

/* Addresses and lengths of 8 bytes: the only ones read here. */
static bool wide_addresses(hid_t dataset)
{
    size_t address = 0, length = 0;
    hid_t file = H5Iget_file_id(dataset), list = file >= 0 ? H5Fget_create_plist(file) : -1;
    bool wide = list >= 0 && H5Pget_sizes(list, &address, &length) >= 0 && address == 8 &&
                length == 8;
    if (list >= 0) H5Pclose(list);
    if (file >= 0) H5Fclose(file);
    return wide;
}

/* HDF5's own answer for one chunk must be the same. */
static bool confirmed(const index_walk *walk, hid_t dataset, uint64_t chunk)
{
    const hsize_t offset[2] = {chunk * walk->span, 0};
    hsize_t size = 0;
    haddr_t at = HADDR_UNDEF;
    unsigned filters = 0;
    return H5Dget_chunk_info_by_coord(dataset, offset, &filters, &at, &size) >= 0 &&
           at == walk->address[chunk] && size == walk->bytes;
}

bool tamis__chunk_index_read(const tamis__input *input, hid_t dataset, uint64_t span,
                             uint64_t bytes, uint64_t *ret_address, uint64_t chunks)
{
    index_walk walk = {
        .input = input, .span = span, .bytes = bytes, .address = ret_address, .chunks = chunks};
    uint64_t header, root;
    hsize_t dims[2] = {0, 0};
    hid_t space = H5Dget_space(dataset);
    if (space >= 0) {
        (void)H5Sget_simple_extent_dims(space, dims, NULL);
        H5Sclose(space);
    }
    walk.columns = dims[1];
    return wide_addresses(dataset) && header_address(dataset, &header) &&
           find_root(&walk, header, &root) && walk_tree(&walk, root) &&
           confirmed(&walk, dataset, 0) && confirmed(&walk, dataset, chunks - 1);
}
