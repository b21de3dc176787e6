// SPDX-License-Identifier: GPL-3.0-or-later
/* locker FILE: one process of a guest that locks FILE as it is told, a line of standard input at a time.
 *
 *   lock | rlock | lockw | rlockw | unlock  START LENGTH     fcntl(2), w = wait       -> ok | ERRNO
 *   test | rtest  START LENGTH                               F_GETLK                  -> free | held r|w START LENGTH PID
 *   flock | flocksh | flockw | flockshw | funlock            flock(2)                 -> ok | ERRNO
 *   add N             N times: lock byte 0 and wait, add one to the number in the file, unlock   -> ok | ERRNO
 *   many N            lock N single bytes, every other one                            -> ok | ERRNO
 *   pairs N           N times lock and unlock                                         -> MICROSECONDS | ERRNO
 *
 * SIGUSR1 interrupts what it waits for. Its first line of output is its pid. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static void ignore(int number) { (void)number; }

static int range(int fd, int command, int type, long long start, long long length)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
    return fcntl(fd, command, &lock);
}

static int add(int fd, long count)
{
    char text[32];
    while (count-- > 0) {
        if (range(fd, F_SETLKW, F_WRLCK, 0, 1))
            return -1;
        ssize_t got = pread(fd, text, sizeof text - 1, 0);
        if (got < 0)
            return -1;
        text[got] = 0;
        int size = snprintf(text, sizeof text, "%ld", atol(text) + 1);
        if (pwrite(fd, text, size, 0) != size || range(fd, F_SETLK, F_UNLCK, 0, 1))
            return -1;
    }
    return 0;
}

static int many(int fd, long count)
{
    for (long number = 0; number < count; number++)
        if (range(fd, F_SETLK, F_WRLCK, 2 * number, 1))
            return -1;
    return 0;
}

static long long pairs(int fd, long count)
{
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (count-- > 0)
        if (range(fd, F_SETLK, F_WRLCK, 0, 1) || range(fd, F_SETLK, F_UNLCK, 0, 1))
            return -1;
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (end.tv_sec - begin.tv_sec) * 1000000LL + (end.tv_nsec - begin.tv_nsec) / 1000;
}

static void say(int failed) { puts(failed ? strerrorname_np(errno) : "ok"); }

int main(int count, char **words)
{
    char line[200], verb[20];
    struct sigaction action = { .sa_handler = ignore };
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGUSR1, &action, NULL);
    int fd = count == 2 ? open(words[1], O_RDWR | O_CREAT, 0666) : -1;
    if (fd < 0) {
        say(1);
        return 1;
    }
    printf("%d\n", (int)getpid());
    while (fgets(line, sizeof line, stdin)) {
        long long start = 0, length = 0, took;
        if (sscanf(line, "%19s %lld %lld", verb, &start, &length) < 1)
            continue;
        int wait = verb[strlen(verb) - 1] == 'w';
        if (!strcmp(verb, "test") || !strcmp(verb, "rtest")) {
            struct flock lock = { .l_type = verb[0] == 'r' ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET,
                                  .l_start = start, .l_len = length };
            if (fcntl(fd, F_GETLK, &lock))
                say(1);
            else if (lock.l_type == F_UNLCK)
                puts("free");
            else
                printf("held %c %lld %lld %d\n", lock.l_type == F_RDLCK ? 'r' : 'w', (long long)lock.l_start,
                       (long long)lock.l_len, (int)lock.l_pid);
        } else if (!strcmp(verb, "unlock"))
            say(range(fd, F_SETLK, F_UNLCK, start, length));
        else if (!strncmp(verb, "lock", 4) || !strncmp(verb, "rlock", 5))
            say(range(fd, wait ? F_SETLKW : F_SETLK, verb[0] == 'r' ? F_RDLCK : F_WRLCK, start, length));
        else if (!strcmp(verb, "funlock"))
            say(flock(fd, LOCK_UN));
        else if (!strncmp(verb, "flock", 5))
            say(flock(fd, (strstr(verb, "sh") ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB)));
        else if (!strcmp(verb, "add"))
            say(add(fd, start));
        else if (!strcmp(verb, "many"))
            say(many(fd, start));
        else if (!strcmp(verb, "pairs")) {
            if ((took = pairs(fd, start)) < 0)
                say(1);
            else
                printf("%lld\n", took);
        } else
            puts("what?");
    }
    return 0;
}
