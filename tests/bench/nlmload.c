/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * nlmload - load for a lock manager (ONC RPC program 100021), for tests/bench/lockd.
 *
 *   nlmload MODE --port P [--address A] [--tcp] [--version 1|3|4] [--handle HEX] [--window W]
 *           [--seconds S] [--held K] [--fresh N] [--pid SERVER] [--pause]
 *
 * MODE  null        procedure 0
 *       lockunlock  LOCK and UNLOCK of a range of its own by each of W owners
 *                   (one more lock is held, so that the server knows the client throughout)
 *       only        the same, but without that lock: each is the only lock of its client
 *       test        TEST, by turns of a range that is locked and of one that is not
 *       contended   LOCK (not blocking) and UNLOCK of one and the same range by W owners
 *       held        takes locks on one file, one owner, up to K; at 100, 1000, ... K measures LOCK+UNLOCK
 *                   in gaps between them and the server's memory; --pause: says "held" and waits for a line
 *       first       N clients the server has not seen before, "fresh0"... from 127.1.0.1... (250 to each third
 *                   number), take one lock each; needs the server on this host
 *
 * W calls are in flight at any time. One JSON object on standard output. Every call counts as one operation.
 * After RFC 5531 (messages, record marking) and X/Open XNFS (NLM). Read struct flight, then run().
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { NULLPROC = 0, TEST = 1, LOCK = 2, UNLOCK = 4, PROCEDURES = 5 };
enum { GRANTED = 0, DENIED = 1, STATUSES = 11, NO_STATUS = -1 };
enum { MAX_WINDOW = 1024, MESSAGE = 1024, BATCH = 64, SAMPLES = 1 << 20 };

/* One call on its way. The low bits of its xid are its index, so that a reply finds it at once. */
struct flight {
    bool out;
    int procedure, tries;
    uint32_t xid, owner;
    uint64_t offset, length, sent;
    bool holds;                        /* what LOCK answered last */
    uint32_t size;
    unsigned char message[4 + MESSAGE]; /* record mark, then the call */
};

static struct {
    const char *mode, *address;
    int port, version, window;
    bool tcp, pause;
    double seconds;
    long held, fresh, pid;
    unsigned char handle[64];
    uint32_t handle_size;
} opt = { .address = "127.0.0.1", .version = 4, .window = 1, .seconds = 2, .held = 1000, .fresh = 100 };

static struct flight flights[MAX_WINDOW + 1];
static struct flight *const spare = &flights[MAX_WINDOW]; /* for single calls between runs */
static int line = -1;                                    /* the socket */
static char caller[32] = "nlmload";
static struct flight *ready[MAX_WINDOW + 1];             /* to be sent with the next flush */
static int ready_count;
static uint32_t sequence;

static long operations, retransmitted, lost, strays, refused;
static long statuses[PROCEDURES][STATUSES];
static uint32_t *samples; /* round trips in units of 10 ns, the newest SAMPLES of them */
static size_t sampled;
static bool recording;
static uint64_t randomness = 0x9e3779b97f4a7c15;

static void die(const char *what)
{
    fprintf(stderr, "nlmload: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(2);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t dice(void)
{
    randomness ^= randomness << 13, randomness ^= randomness >> 7, randomness ^= randomness << 17;
    return (uint32_t)(randomness >> 24);
}

/* ------------------------------------------------------------------ the server process */

static double server_cpu(void) /* seconds it has used, or -1 */
{
    clockid_t clock;
    struct timespec t;
    if (!opt.pid || clock_getcpuclockid((pid_t)opt.pid, &clock) || clock_gettime(clock, &t))
        return -1;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long server_rss(void) /* kB, or -1 */
{
    char path[64];
    long total, resident = -1;
    snprintf(path, sizeof path, "/proc/%ld/statm", opt.pid);
    FILE *file = opt.pid ? fopen(path, "r") : NULL;
    if (!file)
        return -1;
    if (fscanf(file, "%ld %ld", &total, &resident) != 2)
        resident = -1;
    fclose(file);
    return resident < 0 ? -1 : resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* ------------------------------------------------------------------ messages */

static unsigned char *put32(unsigned char *at, uint32_t value)
{
    value = htonl(value);
    memcpy(at, &value, 4);
    return at + 4;
}

static unsigned char *put_opaque(unsigned char *at, const void *data, uint32_t size)
{
    at = put32(at, size);
    memset(at + (size & ~3u), 0, 4);
    memcpy(at, data, size);
    return at + ((size + 3) & ~3u);
}

static unsigned char *put_length(unsigned char *at, uint64_t value)
{
    return opt.version == 4 ? put32(put32(at, (uint32_t)(value >> 32)), (uint32_t)value)
                            : put32(at, (uint32_t)value);
}

static uint32_t get32(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return ntohl(value);
}

static void build(struct flight *f)
{
    unsigned char *start = f->message + 4, *at = start, body[64], *b = body;
    at = put32(put32(put32(at, f->xid), 0), 2); /* xid, CALL, RPC version 2 */
    at = put32(put32(put32(at, 100021), (uint32_t)opt.version), (uint32_t)f->procedure);
    b = put_opaque(put32(b, 1), caller, (uint32_t)strlen(caller));
    b = put32(put32(put32(b, 0), 0), 0);
    at = put_opaque(put32(at, 1), body, (uint32_t)(b - body)); /* AUTH_SYS, root */
    at = put32(put32(at, 0), 0);                               /* verifier */
    if (f->procedure != NULLPROC) {
        char owner[48];
        int size = snprintf(owner, sizeof owner, "%u@%s", f->owner, caller);
        at = put_opaque(at, &f->xid, 4); /* cookie */
        if (f->procedure == LOCK)
            at = put32(at, 0); /* do not block */
        if (f->procedure != UNLOCK)
            at = put32(at, 1); /* exclusive */
        at = put_opaque(at, caller, (uint32_t)strlen(caller));
        at = put_opaque(at, opt.handle, opt.handle_size);
        at = put_opaque(at, owner, (uint32_t)size);
        at = put_length(put_length(put32(at, f->owner), f->offset), f->length);
        if (f->procedure == LOCK)
            at = put32(put32(at, 0), 1); /* no reclaim; state number */
    }
    f->size = (uint32_t)(at - start);
    put32(f->message, 0x80000000u | f->size);
}

static void submit(struct flight *f, int procedure)
{
    f->procedure = procedure;
    f->xid = ++sequence * 2048 + (uint32_t)(f - flights);
    f->tries = 0;
    f->out = true;
    build(f);
    ready[ready_count++] = f;
}

/* ------------------------------------------------------------------ the wire */

static void open_line(const char *source)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
    struct timeval wait = { .tv_usec = 50000 };
    int size = 4 << 20, one = 1;
    if (line >= 0)
        close(line);
    line = socket(AF_INET, opt.tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (line < 0 || inet_pton(AF_INET, opt.address, &to.sin_addr) != 1)
        die("address");
    if (source) {
        struct sockaddr_in from = { .sin_family = AF_INET };
        inet_pton(AF_INET, source, &from.sin_addr);
        if (bind(line, (struct sockaddr *)&from, sizeof from))
            die(source);
    }
    setsockopt(line, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(line, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (connect(line, (struct sockaddr *)&to, sizeof to))
        die("connect");
    if (opt.tcp)
        setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void flush_udp(void)
{
    struct mmsghdr heads[BATCH] = { 0 };
    struct iovec parts[BATCH];
    for (int done = 0; done < ready_count;) {
        int count = ready_count - done < BATCH ? ready_count - done : BATCH;
        for (int i = 0; i < count; i++) {
            struct flight *f = ready[done + i];
            parts[i] = (struct iovec){ f->message + 4, f->size };
            heads[i].msg_hdr.msg_iov = &parts[i];
            heads[i].msg_hdr.msg_iovlen = 1;
        }
        int sent = sendmmsg(line, heads, (unsigned)count, 0);
        if (sent < 0 && errno != EINTR && errno != ENOBUFS && errno != ECONNREFUSED)
            die("sendmmsg");
        done += sent > 0 ? sent : 1; /* what could not be sent is retransmitted later */
    }
}

static void flush_tcp(void)
{
    static unsigned char buffer[(MAX_WINDOW + 1) * (4 + MESSAGE)];
    size_t size = 0;
    for (int i = 0; i < ready_count; i++) {
        memcpy(buffer + size, ready[i]->message, ready[i]->size + 4);
        size += ready[i]->size + 4;
    }
    for (size_t done = 0; done < size;) {
        ssize_t sent = send(line, buffer + done, size - done, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR && errno != EAGAIN)
            die("send");
        done += sent > 0 ? (size_t)sent : 0;
    }
}

static void flush(void)
{
    uint64_t t = now();
    for (int i = 0; i < ready_count; i++)
        ready[i]->sent = t;
    if (ready_count)
        opt.tcp ? flush_tcp() : flush_udp();
    ready_count = 0;
}

/* The flight a reply answers and its NLM status (NO_STATUS when the call was refused), or NULL. */
static struct flight *judge(const unsigned char *data, size_t size, int *status)
{
    if (size < 24)
        return NULL;
    uint32_t xid = get32(data), index = xid & 2047;
    if (index > MAX_WINDOW || !flights[index].out || flights[index].xid != xid)
        return NULL;
    struct flight *f = &flights[index];
    *status = NO_STATUS;
    size_t at = 16 + ((get32(data + 16) + 3) & ~3u) + 4; /* behind the verifier */
    if (get32(data + 4) != 1 || get32(data + 8) != 0 || at + 4 > size || get32(data + at) != 0)
        return f; /* denied, or not accepted */
    at += 4;
    if (f->procedure == NULLPROC) {
        *status = GRANTED;
        return f;
    }
    if (at + 4 > size)
        return f;
    at += 4 + ((get32(data + at) + 3) & ~3u); /* behind the cookie */
    if (at + 4 <= size)
        *status = (int)get32(data + at);
    return f;
}

static void settle(struct flight *f, int status)
{
    f->out = false;
    if (f->procedure == LOCK)
        f->holds = status == GRANTED;
    else if (f->procedure == UNLOCK)
        f->holds = false;
    if (!recording)
        return;
    operations++;
    if (status < 0 || status >= STATUSES) {
        refused++;
        return;
    }
    statuses[f->procedure][status]++;
    uint64_t spent = (now() - f->sent) / 10;
    samples[sampled++ % SAMPLES] = spent > UINT32_MAX ? UINT32_MAX : (uint32_t)spent;
}

static int arrived_count;
static struct flight *arrived[MAX_WINDOW + 1];

static void take(const unsigned char *data, size_t size)
{
    int status;
    struct flight *f = judge(data, size, &status);
    if (!f) {
        strays++;
        return;
    }
    settle(f, status);
    arrived[arrived_count++] = f;
}

static void receive_udp(void)
{
    static unsigned char buffers[BATCH][MESSAGE];
    struct mmsghdr heads[BATCH] = { 0 };
    struct iovec parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){ buffers[i], MESSAGE };
        heads[i].msg_hdr.msg_iov = &parts[i];
        heads[i].msg_hdr.msg_iovlen = 1;
    }
    int count = recvmmsg(line, heads, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < count; i++)
        take(buffers[i], heads[i].msg_len);
}

static unsigned char stream[1 << 20];
static size_t stream_size;

static void receive_tcp(void)
{
    ssize_t got = recv(line, stream + stream_size, sizeof stream - stream_size, 0);
    if (got == 0) {
        errno = 0;
        die("the server closed the connection");
    }
    if (got < 0)
        return;
    stream_size += (size_t)got;
    size_t at = 0;
    while (stream_size - at >= 4) { /* replies are small: one fragment each */
        size_t size = get32(stream + at) & 0x7fffffff;
        if (size > sizeof stream / 2)
            die("a reply of absurd size");
        if (stream_size - at < 4 + size)
            break;
        take(stream + at + 4, size);
        at += 4 + size;
    }
    memmove(stream, stream + at, stream_size - at);
    stream_size -= at;
}

static void retransmit_late(void)
{
    static uint64_t looked;
    uint64_t t = now();
    if (t - looked < 100000000)
        return;
    looked = t;
    for (int i = 0; i <= MAX_WINDOW; i++) {
        struct flight *f = &flights[i];
        if (!f->out || t - f->sent < 1000000000)
            continue;
        if (opt.tcp ? t - f->sent < 10000000000 : ++f->tries <= 5) {
            if (!opt.tcp)
                retransmitted++, ready[ready_count++] = f;
        } else {
            lost++;
            settle(f, NO_STATUS);
            arrived[arrived_count++] = f;
        }
    }
}

/* Send what is ready, wait for replies; arrived[] has the flights that came back. */
static void pump(void)
{
    flush();
    arrived_count = 0;
    opt.tcp ? receive_tcp() : receive_udp();
    retransmit_late();
}

static bool in_flight(void)
{
    for (int i = 0; i <= MAX_WINDOW; i++)
        if (flights[i].out)
            return true;
    return false;
}

static bool single(int procedure, uint32_t owner, uint64_t offset, uint64_t length)
{
    spare->owner = owner, spare->offset = offset, spare->length = length;
    submit(spare, procedure);
    while (spare->out)
        pump();
    return spare->holds;
}

/* ------------------------------------------------------------------ loads */

static uint64_t gaps; /* held: how many locks there are gaps between */

static void next_null(struct flight *f) { submit(f, NULLPROC); }

static void next_lockunlock(struct flight *f)
{
    f->length = 16;
    if (!f->holds)
        f->offset = (uint64_t)f->owner * 65536 + (f->offset + 16) % 4096;
    submit(f, f->holds ? UNLOCK : LOCK);
}

static void next_test(struct flight *f)
{
    f->length = 8;
    f->offset = f->xid & 2048 ? 10 : 1000000; /* a bit that changes with every call */
    submit(f, TEST);
}

static void next_contended(struct flight *f)
{
    f->offset = 100, f->length = 50;
    submit(f, f->holds ? UNLOCK : LOCK);
}

static void next_gap(struct flight *f)
{
    if (!f->holds) /* each flight has gaps of its own: no two owners ever meet */
        f->offset = ((dice() % gaps) / (uint64_t)opt.window * (uint64_t)opt.window + (uint64_t)(f - flights)) * 16 + 9;
    f->length = 4;
    submit(f, f->holds ? UNLOCK : LOCK);
}

static void forget(void)
{
    operations = 0, sampled = 0;
    memset(statuses, 0, sizeof statuses);
}

/* Keep `window` calls going for some time; the seconds measured. */
static double run(void (*next)(struct flight *), double warm, double seconds)
{
    uint64_t begin = now() + (uint64_t)(warm * 1e9), end = begin + (uint64_t)(seconds * 1e9), t;
    for (int i = 0; i < opt.window; i++)
        next(&flights[i]);
    for (;;) {
        pump();
        t = now();
        if (!recording && t >= begin) {
            forget();
            recording = true;
            begin = t;
        }
        if (t >= end)
            break;
        for (int i = 0; i < arrived_count; i++)
            next(arrived[i]);
    }
    recording = false;
    while (in_flight())
        pump();
    for (int i = 0; i < opt.window; i++)
        if (flights[i].holds)
            single(UNLOCK, flights[i].owner, flights[i].offset, flights[i].length), flights[i].holds = false;
    return (double)(t - begin) / 1e9;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_figures(double seconds, double cpu)
{
    size_t count = sampled < SAMPLES ? sampled : SAMPLES;
    qsort(samples, count, sizeof *samples, by_value);
    printf("\"operations\": %ld, \"seconds\": %.4f, \"per_second\": %.1f", operations, seconds,
           seconds > 0 ? (double)operations / seconds : 0.0);
    if (cpu >= 0 && operations)
        printf(", \"server_us\": %.3f", cpu * 1e6 / (double)operations);
    if (count)
        printf(", \"p50_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.2f", samples[count / 2] / 100.0,
               samples[count - 1 - count / 100] / 100.0, samples[count - 1] / 100.0);
}

static void print_statuses(void)
{
    static const char *const names[PROCEDURES] = { "NULL", "TEST", "LOCK", 0, "UNLOCK" };
    const char *comma = "";
    printf(", \"statuses\": {");
    for (int p = 0; p < PROCEDURES; p++)
        for (int s = 0; s < STATUSES; s++)
            if (statuses[p][s]) {
                printf("%s\"%s %d\": %ld", comma, names[p], s, statuses[p][s]);
                comma = ", ";
            }
    printf("}");
}

static void load(void (*next)(struct flight *), bool keep)
{
    double before = server_cpu(), warm = 0.2;
    if (next == next_test && !single(LOCK, 7, 0, 100))
        die("the range to test could not be locked");
    if (keep && !single(LOCK, 7, 1u << 30, 1))
        die("the lock to keep could not be had");
    if (before >= 0) { /* the server's time is taken over the measured part alone */
        run(next, 0, warm);
        before = server_cpu();
        warm = 0;
    }
    double seconds = run(next, warm, opt.seconds), cpu = server_cpu() - before;
    print_figures(seconds, before < 0 ? -1 : cpu);
    print_statuses();
    if (next == next_test)
        single(UNLOCK, 7, 0, 100);
    if (keep)
        single(UNLOCK, 7, 1u << 30, 1);
}

static long wanted, placed, granted;

static void next_held(struct flight *f)
{
    if (placed >= wanted)
        return;
    f->holds = false, f->owner = 1, f->offset = (uint64_t)placed++ * 16, f->length = 8;
    submit(f, LOCK);
}

static void fill(long count)
{
    wanted = count;
    for (int i = 0; i < opt.window; i++)
        next_held(&flights[i]);
    while (in_flight()) {
        pump();
        for (int i = 0; i < arrived_count; i++) {
            granted += arrived[i]->holds;
            next_held(arrived[i]);
        }
    }
    for (int i = 0; i < opt.window; i++)
        flights[i].holds = false, flights[i].owner = 100 + (uint32_t)i;
}

static void held(void)
{
    const char *comma = "";
    gaps = 1, run(next_gap, 0, 0.3); /* what a server takes once for its caches is not the locks' */
    long empty = server_rss();
    printf("\"rss_empty_kb\": %ld, \"steps\": [", empty);
    for (long step = opt.held < 100 ? opt.held : 100;; step = step * 10 < opt.held ? step * 10 : opt.held) {
        forget();
        recording = true;
        double cpu = server_cpu();
        uint64_t t = now();
        fill(step);
        recording = false;
        printf("%s{\"held\": %ld, \"rss_kb\": %ld, \"fill\": {", comma, granted, server_rss());
        print_figures((double)(now() - t) / 1e9, cpu < 0 ? -1 : server_cpu() - cpu);
        gaps = (uint64_t)step;
        run(next_gap, 0, 0.1);
        cpu = server_cpu();
        double seconds = run(next_gap, 0, opt.seconds);
        printf("}, \"gap\": {");
        print_figures(seconds, cpu < 0 ? -1 : server_cpu() - cpu);
        printf("}}");
        comma = ", ";
        if (statuses[LOCK][DENIED] || granted != step)
            break;
        if (step == opt.held)
            break;
    }
    printf("]");
    if (opt.pause) {
        char word[8];
        fprintf(stderr, "held\n");
        if (!fgets(word, sizeof word, stdin))
            exit(3);
    }
    uint64_t t = now();
    single(UNLOCK, 1, 0, 0);
    printf(", \"unlock_all_ms\": %.2f", (double)(now() - t) / 1e6);
    print_statuses();
}

static void first(void)
{
    char source[32];
    uint64_t spent = 0;
    for (long i = 0; i < opt.fresh; i++) {
        snprintf(source, sizeof source, "127.1.%ld.%ld", i / 250, i % 250 + 1);
        snprintf(caller, sizeof caller, "fresh%ld", i);
        open_line(source);
        uint64_t t = now();
        recording = true;
        bool got = single(LOCK, 1, (uint64_t)i * 16, 8);
        recording = false;
        spent += now() - t;
        if (got)
            single(UNLOCK, 1, (uint64_t)i * 16, 8);
    }
    print_figures((double)spent / 1e9, -1);
    print_statuses();
}

/* ------------------------------------------------------------------ the command line */

static void parse_handle(const char *text)
{
    unsigned value;
    while (opt.handle_size < sizeof opt.handle && sscanf(text, "%2x", &value) == 1) {
        opt.handle[opt.handle_size++] = (unsigned char)value;
        text += 2;
    }
    errno = 0;
    if (*text || !opt.handle_size)
        die("--handle wants up to 128 hexadecimal digits");
}

static void parse(int count, char **words)
{
    errno = 0;
    if (count < 2)
        die("see the head of nlmload.c for its arguments");
    opt.mode = words[1];
    for (int i = 2; i < count; i++) {
        const char *word = words[i];
        if (!strcmp(word, "--tcp")) {
            opt.tcp = true;
            continue;
        }
        if (!strcmp(word, "--pause")) {
            opt.pause = true;
            continue;
        }
        if (i + 1 == count)
            die(word);
        const char *value = words[++i];
        if (!strcmp(word, "--address")) opt.address = value;
        else if (!strcmp(word, "--port")) opt.port = atoi(value);
        else if (!strcmp(word, "--version")) opt.version = atoi(value);
        else if (!strcmp(word, "--window")) opt.window = atoi(value);
        else if (!strcmp(word, "--seconds")) opt.seconds = atof(value);
        else if (!strcmp(word, "--held")) opt.held = atol(value);
        else if (!strcmp(word, "--fresh")) opt.fresh = atol(value);
        else if (!strcmp(word, "--pid")) opt.pid = atol(value);
        else if (!strcmp(word, "--handle")) parse_handle(value);
        else die(word);
    }
    if (!opt.port || opt.window < 1 || opt.window > MAX_WINDOW)
        die("--port is needed, and a window of 1 to 1024");
}

int main(int count, char **words)
{
    static const struct { const char *name; void (*next)(struct flight *); bool keep; } loads[] = {
        { "null", next_null, false }, { "lockunlock", next_lockunlock, true }, { "test", next_test, false },
        { "contended", next_contended, true }, { "only", next_lockunlock, false },
    };
    parse(count, words);
    if (!opt.handle_size) { /* a handle like any other: lock managers do not look into them by default */
        opt.handle_size = 32;
        memset(opt.handle, 0xa5, 32);
    }
    samples = calloc(SAMPLES, sizeof *samples);
    if (!samples)
        die("memory");
    sequence = (uint32_t)(now() >> 12) ^ ((uint32_t)getpid() << 8);
    randomness ^= now();
    for (int i = 0; i <= MAX_WINDOW; i++)
        flights[i].owner = 100 + (uint32_t)i;
    open_line(NULL);
    long rss = server_rss();
    printf("{\"mode\": \"%s\", \"transport\": \"%s\", \"version\": %d, \"window\": %d, ", opt.mode,
           opt.tcp ? "tcp" : "udp", opt.version, opt.window);
    if (!strcmp(opt.mode, "held")) {
        held();
    } else if (!strcmp(opt.mode, "first")) {
        first();
    } else {
        size_t i = 0, n = sizeof loads / sizeof *loads;
        while (i < n && strcmp(loads[i].name, opt.mode))
            i++;
        errno = 0;
        if (i == n)
            die("no such mode");
        load(loads[i].next, loads[i].keep);
    }
    printf(", \"rss_kb\": [%ld, %ld], \"refused\": %ld, \"lost\": %ld, \"retransmitted\": %ld, \"strays\": %ld}\n",
           rss, server_rss(), refused, lost, retransmitted, strays);
    return refused || lost ? 1 : 0;
}
