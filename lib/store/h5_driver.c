/* The HDF5 file driver that this project writes with.
 *
 * SPDX-License-Identifier: GPL-3.0-or-later */
#include "store/h5_driver.h"

#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define ADDRESS_MAX ((haddr_t)INT64_MAX)

typedef struct sink_file {
    H5FD_t base; /* HDF5's own, first */
    tamis__h5_sink *sink;
    haddr_t eoa, eof; /* end of what is allocated, and of what is written */
} sink_file;

/* What an access list carries. */
typedef struct sink_info {
    tamis__h5_sink *sink;
} sink_info;

static bool failed(tamis__h5_sink *sink)
{
    if (!sink->error) sink->error = errno ? errno : EIO;
    return true;
}

/* --- open and close --------------------------------------------------------------------------- */

static H5FD_t *sink_open(const char *name, unsigned flags, hid_t list, haddr_t max)
{
    (void)name, (void)flags, (void)max;
    const sink_info *info = H5Pget_driver_info(list);
    sink_file *file = info ? tamis__calloc(1, sizeof *file) : NULL;
    if (!file) return NULL;
    file->sink = info->sink;
    return &file->base;
}

static herr_t sink_close(H5FD_t *base)
{
    free(base);
    return 0;
}

static int sink_compare(const H5FD_t *a, const H5FD_t *b)
{
    const tamis__h5_sink *x = ((const sink_file *)a)->sink, *y = ((const sink_file *)b)->sink;
    return x->fd < y->fd ? -1 : x->fd > y->fd;
}

/* What the driver of plain files says, so that files come out alike. */
static herr_t sink_query(const H5FD_t *base, unsigned long *flags)
{
    (void)base;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

/* --- ends ------------------------------------------------------------------------------------- */

static haddr_t sink_eoa(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const sink_file *)base)->eoa;
}

static herr_t sink_set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    ((sink_file *)base)->eoa = address;
    return 0;
}

static haddr_t sink_eof(const H5FD_t *base, H5FD_mem_t type)
{
    (void)type;
    return ((const sink_file *)base)->eof;
}

static herr_t sink_truncate(H5FD_t *base, hid_t list, hbool_t closing)
{
    sink_file *file = (sink_file *)base;
    (void)list, (void)closing;
    if (file->eoa == file->eof) return 0;
    if (!file->sink->error && (tamis__fault_io() || ftruncate(file->sink->fd, (off_t)file->eoa)))
        failed(file->sink);
    file->eof = file->eoa;
    return 0;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static herr_t sink_read(H5FD_t *base, H5FD_mem_t type, hid_t list, haddr_t address, size_t size,
                        void *buffer)
{
    tamis__h5_sink *sink = ((sink_file *)base)->sink;
    unsigned char *to = buffer;
    (void)type, (void)list;
    while (size > 0) {
        ssize_t got = pread(sink->fd, to, size, (off_t)address);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) failed(sink);
        if (got <= 0) break;
        to += got;
        address += (haddr_t)got;
        size -= (size_t)got;
    }
    memset(to, 0, size); /* behind the end there are zeros */
    return 0;
}

static bool write_fully(tamis__h5_sink *sink, const unsigned char *from, size_t size,
                        haddr_t address)
{
    while (size > 0) {
        ssize_t put = tamis__fault_io() ? -1 : pwrite(sink->fd, from, size, (off_t)address);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return !failed(sink);
        from += put;
        address += (haddr_t)put;
        size -= (size_t)put;
    }
    return true;
}

static herr_t sink_write(H5FD_t *base, H5FD_mem_t type, hid_t list, haddr_t address, size_t size,
                         const void *buffer)
{
    sink_file *file = (sink_file *)base;
    (void)type, (void)list;
    if (!file->sink->error) (void)write_fully(file->sink, buffer, size, address);
    if (address + size > file->eof) file->eof = address + size;
    return 0;
}

/* --- the class -------------------------------------------------------------------------------- */

static const H5FD_class_t sink_class = {
#ifdef H5FD_CLASS_VERSION
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)600, /* above those that HDF5 keeps for itself */
#endif
    .name = "tamis",
    .maxaddr = ADDRESS_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .fapl_size = sizeof(sink_info),
    .open = sink_open,
    .close = sink_close,
    .cmp = sink_compare,
    .query = sink_query,
    .get_eoa = sink_eoa,
    .set_eoa = sink_set_eoa,
    .get_eof = sink_eof,
    .read = sink_read,
    .write = sink_write,
    .truncate = sink_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

herr_t tamis__h5_driver_set(hid_t access_list, tamis__h5_sink *sink)
{
    /* Registered once for the process, under HDF5's lock; again when the program closed HDF5. */
    static hid_t driver = 0;
    sink_info info = {.sink = sink};
    if (driver <= 0 || H5Iget_type(driver) != H5I_VFL) driver = H5FDregister(&sink_class);
    return driver < 0 ? -1 : H5Pset_driver(access_list, driver, &info);
}
