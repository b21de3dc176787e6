/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * nbload - load for a NetBIOS name server, for tests/bench/nmbd.
 *
 *   nbload MODE --server A [--window W] [--seconds S | --count N] [--names K] [--first F] [--name NAME]
 *          [--shuffle] [--address A] [--timeout MS]
 *
 * MODE  own       name queries for NAME<20>, one name over and over
 *       status    node status requests for *
 *       query     name queries for K names, in turn or (--shuffle) in any order
 *       miss      name queries for names nobody has
 *       register  registrations of K names as unique, each once unless --count says otherwise
 *       refresh   refreshes of the same
 *       release   releases of the same
 *       bad       requests cut short: no answer is expected, one good query behind each 32 tells how far it is
 *
 * W requests are in flight at any time, each answer sends the next one. What is not answered within --timeout is
 * counted as lost and not sent again. One JSON object on standard output: operations, rate, latency. After RFC 1002 section 4.2. Read build(), then main().
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { OWN, STATUS, QUERY, MISS, REGISTER, REFRESH, RELEASE, BAD, MODES };
enum { MAX_WINDOW = 4096, PACKET = 128, BATCH = 32, SAMPLES = 1 << 21, LONGEST = 300 };

static const char *const mode_names[MODES] = { "own", "status", "query", "miss", "register", "refresh", "release", "bad" };

struct flight {
    bool out;
    uint16_t id;
    double sent;
};

static struct {
    int mode, window;
    double seconds, timeout;
    long count, names, first;
    const char *server, *name, *address;
    bool shuffle;
} opt = { .window = 32, .seconds = 5, .timeout = 1.0, .names = 1000, .name = "SERVER" };

static struct flight flights[MAX_WINDOW];
static float samples[SAMPLES];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static unsigned char *put16(unsigned char *at, unsigned value)
{
    at[0] = value >> 8;
    at[1] = value;
    return at + 2;
}

static unsigned char *put_name(unsigned char *at, const char *text, unsigned suffix)
{
    unsigned char label[16];
    bool star = !strcmp(text, "*");
    size_t size = strlen(text);
    memset(label, star ? 0 : ' ', 15);
    memcpy(label, text, size > 15 ? 15 : size);
    label[15] = suffix;
    *at++ = 32;
    for (int i = 0; i < 16; i++) {
        *at++ = 'A' + (label[i] >> 4);
        *at++ = 'A' + (label[i] & 15);
    }
    *at++ = 0;
    return at;
}

static const unsigned flags_of[MODES] = { 0x0100, 0x0000, 0x0100, 0x0100, 0x2900, 0x4000, 0x3000, 0x0100 };

/* the request number `index` with this transaction id; its size */
static size_t build(unsigned char *packet, uint16_t id, long index, int mode)
{
    char text[32];
    bool claim = mode == REGISTER || mode == REFRESH || mode == RELEASE;
    unsigned char *at = put16(packet, id);
    at = put16(at, flags_of[mode]);
    at = put16(at, 1);
    at = put16(at, 0);
    at = put16(at, 0);
    at = put16(at, claim);
    if (mode == STATUS)
        at = put_name(at, "*", 0);
    else if (mode == OWN)
        at = put_name(at, opt.name, 0x20);
    else {
        snprintf(text, sizeof text, "%s%07ld", mode == MISS ? "MISSING" : "LOAD", opt.first + index % opt.names);
        at = put_name(at, text, 0x20);
    }
    at = put16(at, mode == STATUS ? 0x21 : 0x20);
    at = put16(at, 1);
    if (claim) {
        struct in_addr address;
        inet_pton(AF_INET, opt.address, &address);
        at = put16(at, 0xc00c);
        at = put16(at, 0x20);
        at = put16(at, 1);
        at = put16(at, 300000 >> 16);
        at = put16(at, 300000 & 0xffff);
        at = put16(at, 6);
        at = put16(at, 0x6000);
        memcpy(at, &address, 4);
        at += 4;
    }
    return at - packet;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int find_mode(const char *word)
{
    for (int i = 0; i < MODES; i++)
        if (!strcmp(word, mode_names[i]))
            return i;
    fprintf(stderr, "nbload: no mode %s\n", word);
    exit(2);
}

static void parse(int argc, char **argv)
{
    static const struct option known[] = {
        { "server", 1, 0, 's' }, { "window", 1, 0, 'w' },  { "seconds", 1, 0, 't' }, { "count", 1, 0, 'c' },
        { "names", 1, 0, 'k' },  { "first", 1, 0, 'f' },   { "name", 1, 0, 'n' },    { "shuffle", 0, 0, 'r' },
        { "address", 1, 0, 'a' }, { "timeout", 1, 0, 'o' }, { 0, 0, 0, 0 },
    };
    int letter;
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1)
        switch (letter) {
        case 's': opt.server = optarg; break;
        case 'w': opt.window = atoi(optarg); break;
        case 't': opt.seconds = atof(optarg); break;
        case 'c': opt.count = atol(optarg); break;
        case 'k': opt.names = atol(optarg); break;
        case 'f': opt.first = atol(optarg); break;
        case 'n': opt.name = optarg; break;
        case 'r': opt.shuffle = true; break;
        case 'a': opt.address = optarg; break;
        case 'o': opt.timeout = atof(optarg) / 1000; break;
        default: exit(2);
        }
    if (optind != argc - 1 || !opt.server || opt.window < 1 || opt.window > MAX_WINDOW || opt.names < 1) {
        fprintf(stderr, "usage: see the head of nbload.c\n");
        exit(2);
    }
    opt.mode = find_mode(argv[optind]);
    bool once = opt.mode == REGISTER || opt.mode == REFRESH || opt.mode == RELEASE;
    if (!opt.count)
        opt.count = once ? opt.names : 1L << 40;
    if (once)
        opt.seconds = 120;
    if (opt.seconds > 120)
        opt.seconds = 120; /* bounded, always */
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    int sock = socket(AF_INET, SOCK_DGRAM, 0), buffer = 4 << 20;
    if (sock < 0)
        fail("socket");
    setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(137) }, from;
    socklen_t size = sizeof from;
    if (inet_pton(AF_INET, opt.server, &to.sin_addr) != 1 || connect(sock, (void *)&to, sizeof to) < 0)
        fail("connect");
    getsockname(sock, (void *)&from, &size);
    char own[INET_ADDRSTRLEN];
    if (!opt.address)
        opt.address = inet_ntop(AF_INET, &from.sin_addr, own, sizeof own);

    static unsigned char out[BATCH][PACKET], in[BATCH][1500];
    static struct mmsghdr send_headers[BATCH], receive_headers[BATCH];
    static struct iovec send_parts[BATCH], receive_parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        receive_parts[i] = (struct iovec){ in[i], sizeof in[i] };
        receive_headers[i].msg_hdr = (struct msghdr){ .msg_iov = &receive_parts[i], .msg_iovlen = 1 };
        send_headers[i].msg_hdr = (struct msghdr){ .msg_iov = &send_parts[i], .msg_iovlen = 1 };
    }
    static int idle[MAX_WINDOW];
    int idles = 0;
    for (int i = opt.window - 1; i >= 0; i--)
        idle[idles++] = i;
    long sent = 0, good = 0, negative = 0, lost = 0, stray = 0, sampled = 0, bad_sent = 0;
    uint32_t dice = 1;
    uint16_t generation = 0;
    double start = now(), end = start + opt.seconds, swept = start, last = start;

    for (;;) {
        double time = now();
        while (idles && sent < opt.count && time < end) {
            int ready = 0;
            while (ready < BATCH && idles && sent < opt.count) {
                int slot = idle[--idles];
                struct flight *flight = &flights[slot];
                long index = sent;
                if (opt.shuffle) {
                    dice = dice * 1664525u + 1013904223u;
                    index = (long)(((uint64_t)dice * opt.names) >> 32);
                }
                /* the slot in the low 12 bits, so that an answer finds it */
                flight->id = (uint16_t)(slot | (++generation << 12));
                flight->out = true;
                flight->sent = now();
                if (opt.mode == BAD) {
                    unsigned char junk[PACKET];
                    size_t whole = build(junk, flight->id, index, REGISTER);
                    for (int i = 0; i < 32; i++, bad_sent++)
                        if (send(sock, junk, whole - 1 - (bad_sent % 55), MSG_DONTWAIT) < 0 && errno != EAGAIN)
                            break;
                    send_parts[ready] = (struct iovec){ out[ready], build(out[ready], flight->id, index, OWN) };
                } else
                    send_parts[ready] = (struct iovec){ out[ready], build(out[ready], flight->id, index, opt.mode) };
                ready++;
                sent++;
            }
            if (sendmmsg(sock, send_headers, ready, 0) < 0 && errno != ECONNREFUSED && errno != ENOBUFS)
                fail("sendmmsg");
            time = now();
        }
        if (idles == opt.window && (sent >= opt.count || time >= end))
            break;
        struct pollfd wait = { sock, POLLIN, 0 };
        if (poll(&wait, 1, 20) > 0) {
            int got = recvmmsg(sock, receive_headers, BATCH, MSG_DONTWAIT, NULL);
            time = now();
            for (int i = 0; i < got; i++) {
                const unsigned char *packet = in[i];
                if (receive_headers[i].msg_len < 12 || !(packet[2] & 0x80))
                    continue;
                uint16_t id = packet[0] << 8 | packet[1];
                struct flight *flight = &flights[id & 0xfff];
                if (!flight->out || flight->id != id) {
                    stray++;
                    continue;
                }
                if ((packet[2] >> 3 & 15) == 7) { /* to wait: the answer itself comes later */
                    flight->sent = time + 10;
                    continue;
                }
                if (packet[3] & 15)
                    negative++;
                else
                    good++;
                if (sampled < SAMPLES)
                    samples[sampled++] = (time - flight->sent) * 1e6;
                flight->out = false;
                idle[idles++] = id & 0xfff;
                last = time;
            }
        }
        if (time - swept > 0.05) {
            swept = time;
            for (int i = 0; i < opt.window; i++)
                if (flights[i].out && time - flights[i].sent > opt.timeout) {
                    flights[i].out = false;
                    idle[idles++] = i;
                    lost++;
                }
        }
    }
    long answered = good + negative;
    double seconds = last > start ? last - start : 1e-9;
    qsort(samples, sampled, sizeof *samples, by_size);
    float middle = sampled ? samples[sampled / 2] : 0, high = sampled ? samples[sampled * 99 / 100] : 0;
    printf("{\"mode\": \"%s\", \"window\": %d, \"names\": %ld, \"sent\": %ld, \"good\": %ld, \"negative\": %ld, "
           "\"lost\": %ld, \"stray\": %ld, \"bad_sent\": %ld, \"seconds\": %.4f, \"per_second\": %.1f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           mode_names[opt.mode], opt.window, opt.names, sent, good, negative, lost, stray, bad_sent, seconds,
           answered / seconds, middle, high);
    return 0;
}
