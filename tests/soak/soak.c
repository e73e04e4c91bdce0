/* soak.c: 200 threads and 10 apps for as long as SOAK_SECONDS says, while devcloud has the faults that whoever starts
 * this gave it. Ends with a table, and with 1 if anything happened that must not. Started by main.rs. */

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "growth.h"
#include "judge.h"

extern char **environ;

/* No call may take longer than its own timeout and this: the machine may be busy. */
#define LATE_S 20
/* A call that took so much longer never comes back. */
#define LOST_S 45
/* A token may be replaced by one that is a little older. */
#define SLOW_CLOCK_S 3

/* Children end before the workers: a thread that ends is not kept out of a fork (docs/KNOWN_RISKS.md). */
static int childless, stopping;
static uint64_t seed;
/* Bytes of each token that are never freed: whether growth is found. */
static size_t kept_bytes;
static void *volatile kept;

static uint64_t roll(uint64_t *dice)
{
    /* splitmix64 */
    uint64_t value = (*dice += 0x9e3779b97f4a7c15u);
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

static void pause_ms(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Each app as often as any other. */
static struct slot *any_slot(uint64_t *dice)
{
    const struct identity *identity = &identities[roll(dice) % (uint64_t)identity_count];
    return &slots[identity->first + (int)(roll(dice) % (uint64_t)identity->count)];
}

/* Keeps what is known of a slot: a bound token of another certificate says that those of the last are gone. */
static void remember(struct slot *slot, int64_t good_until, const char *x5t)
{
    uint64_t certificate = x5t ? hash_of(x5t) : 0;
    int64_t *place = &slot->good_until, known = __atomic_load_n(place, __ATOMIC_ACQUIRE);

    if (__atomic_exchange_n(&slot->certificate, certificate, __ATOMIC_ACQ_REL) != certificate) {
        __atomic_store_n(place, good_until, __ATOMIC_RELEASE);
    }
    while (known < good_until
           && !__atomic_compare_exchange_n(place, &known, good_until, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {}
}

/* When a token is not served any more: in its last five minutes, and after its certificate. */
static int64_t good_until(const mtlspop_token *token, const mtlspop_certificate *certificate)
{
    int64_t end = mtlspop_token_expires_on(token) - MARGIN;
    int64_t certificate_end = certificate ? mtlspop_certificate_not_after(certificate) : end;
    return certificate_end < end ? certificate_end : end;
}

/* What is special about a call. */
enum manner { ORDINARY, FORCED, HURRIED, CANCELLED };

static enum manner manner_of(uint64_t dice, const struct slot *slot)
{
    uint64_t thousandth = dice % 1000;
    if (thousandth < (slot->identity->managed ? 12u : 4u)) return FORCED;
    if (thousandth < 16) return HURRIED;
    if (thousandth < 20) return CANCELLED;
    return ORDINARY;
}

static int64_t timeout_ms(struct worker *worker, enum manner manner)
{
    return manner == HURRIED ? 1 + (int64_t)(roll(&worker->dice) % 60) : TIMEOUT_MS;
}

static mtlspop_token_request *special(struct worker *worker, const struct slot *slot, enum manner manner, int64_t timeout)
{
    mtlspop_token_request *request = request_for(slot);

    mtlspop_token_request_set_timeout_ms(request, timeout);
    if (manner == FORCED) mtlspop_token_request_set_force_refresh(request, 1);
    if (manner == CANCELLED) {
        mtlspop_cancel *cancel = mtlspop_cancel_new();
        mtlspop_token_request_set_cancel(request, cancel);
        pthread_mutex_lock(&worker->lock);
        worker->cancel = cancel;
        pthread_mutex_unlock(&worker->lock);
    }
    return request;
}

static void drop_cancel(struct worker *worker)
{
    mtlspop_cancel *cancel;

    pthread_mutex_lock(&worker->lock);
    cancel = worker->cancel;
    worker->cancel = NULL;
    pthread_mutex_unlock(&worker->lock);
    mtlspop_cancel_free(cancel);
}

/* Raises the flags of those who have one. */
static void cancel_some(uint64_t *dice)
{
    int i;
    for (i = 0; i < worker_count; i++) {
        if (roll(dice) % 4) continue;
        pthread_mutex_lock(&workers[i].lock);
        if (workers[i].cancel) mtlspop_cancel_raise(workers[i].cancel);
        pthread_mutex_unlock(&workers[i].lock);
    }
}

/* Was there a good token all through the call that failed? */
static void judge_failure(const struct slot *slot, enum manner manner, int64_t known, const mtlspop_error *error)
{
    int64_t left = known - SLOW_CLOCK_S - (int64_t)time(NULL);

    note_error("token", error);
    if (manner == FORCED || manner == CANCELLED || left <= 0) return;
    if (known != __atomic_load_n(&slot->good_until, __ATOMIC_ACQUIRE)) return;
    violation("%s: no token, with one that is good for %lld s more: %s", slot->name, (long long)left,
              mtlspop_error_message(error));
}

static void ask(struct worker *worker, struct slot *slot)
{
    enum manner manner = manner_of(roll(&worker->dice), slot);
    int64_t timeout = timeout_ms(worker, manner);
    mtlspop_token_request *request = manner == ORDINARY ? slot->request : special(worker, slot, manner, timeout);
    int64_t known = __atomic_load_n(&slot->good_until, __ATOMIC_ACQUIRE), asked = (int64_t)time(NULL), start, took;
    mtlspop_token *token = NULL;
    mtlspop_error *error = NULL;

    busy(worker, "acquire", slot->name);
    start = monotonic_ns();
    if (mtlspop_app_acquire_token(slot->identity->app, request, &token, &error)) {
        took = monotonic_ns() - start;
        idle(worker);
        judge_failure(slot, manner, known, error);
    } else {
        mtlspop_certificate *certificate = mtlspop_token_binding_certificate(token);
        const char *x5t = certificate ? mtlspop_certificate_x5t_s256(certificate) : NULL;
        int cached = mtlspop_token_source(token) == MTLSPOP_TOKEN_SOURCE_CACHE;

        took = monotonic_ns() - start;
        idle(worker);
        note_time(!cached ? FETCHED : known > asked ? HIT : WAITED, took);
        COUNT(tokens);
        judge(slot, token, x5t, asked);
        remember(slot, good_until(token, certificate), x5t);
        call_if_new(worker, slot, token, x5t);
        mtlspop_certificate_free(certificate);
    }
    if (took > (timeout + LATE_S * 1000) * 1000000) violation("%s: %.1f s in a call", slot->name, (double)took / 1e9);
    if (kept_bytes) kept = malloc(kept_bytes);
    if (manner == CANCELLED) drop_cancel(worker);
    if (request != slot->request) mtlspop_token_request_free(request);
    mtlspop_token_free(token);
    mtlspop_error_free(error);
}

static void *work(void *place)
{
    struct worker *worker = place;

    while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        ask(worker, any_slot(&worker->dice));
        pause_ms(5 + (long)(roll(&worker->dice) % 40));
    }
    return NULL;
}

/* A child that hangs has nobody else to tell where. */
static void tell_child(int signal)
{
    violation("a forked child hangs: %s of %s", workers[0].what, workers[0].of);
    print_stack(signal);
    _exit(3);
}

/* Uses what it inherited, frees it and goes. Violations are counted where the parent sees them. */
static int child(uint64_t dice)
{
    /* No other one came along. */
    struct worker *worker = &workers[0];
    int i;

    signal(SIGALRM, tell_child);
    alarm(TIMEOUT_MS / 1000 + LOST_S);
    pthread_mutex_init(&worker->lock, NULL);
    worker->dice = dice;
    worker->cancel = NULL;
    for (i = 0; i < slot_count; i++) slots[i].good_until = 0;
    for (i = 0; i < number_of("SOAK_ASKS", 30); i++) ask(worker, any_slot(&worker->dice));
    busy(worker, "free", "all apps");
    free_apps();
    return 0;
}

static void wait_for(pid_t pid, const char *what)
{
    int status = -1;

    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        violation("%s ended with status %x", what, (unsigned)status);
    }
}

static void fork_child(uint64_t *dice)
{
    pid_t pids[64];
    int brood = (int)number_of("SOAK_BROOD", 1), i;

    fflush(stdout);
    for (i = 0; i < brood && i < 64; i++) {
        uint64_t own = roll(dice);
        pids[i] = fork();
        if (pids[i] == 0) _exit(child(own));
        COUNT(children);
        pause_ms(brood > 1 ? 30 : 0);
    }
    while (i--) wait_for(pids[i], "a forked child");
}

/* Another process with the same stores: this program, for a moment, with a few threads. */
static void visit(const char *program, uint64_t *dice)
{
    char own_seed[32], *arguments[2];
    pid_t pid;

    snprintf(own_seed, sizeof own_seed, "%llu", (unsigned long long)roll(dice));
    setenv("SOAK_VISITOR", own_seed, 1);
    arguments[0] = (char *)(uintptr_t)program;
    arguments[1] = NULL;
    COUNT(visitors);
    if (posix_spawn(&pid, program, NULL, NULL, arguments, environ)) violation("%s cannot be started", program);
    else wait_for(pid, "another process");
}

struct families {
    const char *program;
    long every_ms;
    uint64_t dice;
};

/* Has children all the time, by turns, and is a nuisance to the workers. */
static void *multiply(void *place)
{
    struct families *families = place;
    long waited;
    int turn;

    for (turn = 0; !__atomic_load_n(&childless, __ATOMIC_ACQUIRE); turn++) {
        for (waited = 0; waited < families->every_ms && !__atomic_load_n(&childless, __ATOMIC_ACQUIRE); waited += 50) {
            pause_ms(50);
            cancel_some(&families->dice);
        }
        if (turn % 2) visit(families->program, &families->dice);
        else fork_child(&families->dice);
    }
    return NULL;
}

static void start_workers(long count)
{
    long i;

    worker_count = (int)count;
    for (i = 0; i < count; i++) {
        workers[i].number = (int)i;
        workers[i].dice = seed * 1000003 + (uint64_t)i;
        pthread_mutex_init(&workers[i].lock, NULL);
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) exit(2);
    }
}

static void join_workers(void)
{
    int i;
    __atomic_store_n(&stopping, 1, __ATOMIC_RELEASE);
    for (i = 0; i < worker_count; i++) pthread_join(workers[i].thread, NULL);
}

/* What is left when the last handle is freed: nothing of the apps. */
static void judge_end(const struct sample *start)
{
    struct sample end = sample_now();
    int tries, i;

    /* Threads that are done take a moment to go. */
    for (tries = 0; tries < 100 && end.of[THREADS] > start->of[THREADS]; tries++) {
        pause_ms(50);
        end = sample_now();
    }
    printf("%-28s %12s %12s\n", "", "at the start", "all freed");
    for (i = 0; i < GROWN; i++) printf("%-28s %12.0f %12.0f\n", grown_names[i], start->of[i], end.of[i]);
    if (end.of[THREADS] > start->of[THREADS]) violation("threads are left");
    if (end.of[DESCRIPTORS] > start->of[DESCRIPTORS] + 20) violation("descriptors are left");
    if (end.of[HEAP] > start->of[HEAP] + LEFT_KB) violation("memory is left");
}

/* The visitor: what it was not given, it must not have. */
static int stay_for_a_moment(void)
{
    int64_t limit = number_of("SOAK_LIMIT_SECONDS", TIMEOUT_MS / 1000 + LOST_S) * 1000000000;

    alarm(120);
    if (sample_now().of[DESCRIPTORS] > number_of("SOAK_DESCRIPTORS", 3)) violation("another process inherited descriptors");
    make_apps();
    start_watch(&limit);
    start_workers(4);
    pause_ms(2500);
    join_workers();
    free_apps();
    print_codes();
    return figures->violations ? 1 : 0;
}

int main(int count, char **arguments)
{
    long seconds = number_of("SOAK_SECONDS", 30), warm = number_of("SOAK_WARM_SECONDS", 10), second;
    int64_t limit = number_of("SOAK_LIMIT_SECONDS", TIMEOUT_MS / 1000 + LOST_S) * 1000000000;
    struct families families = {arguments[0], 0, 0};
    struct sample start;
    char descriptors[32];
    pthread_t watcher, multiplier;

    (void)count;
    signal(SIGPIPE, SIG_IGN);
    figures_start();
    kept_bytes = (size_t)number_of("SOAK_KEEP", 0);
    seed = (uint64_t)number_of("SOAK_VISITOR", number_of("SOAK_SEED", 1));
    if (getenv("SOAK_VISITOR")) return stay_for_a_moment();

    /* Should even the watch hang. */
    alarm((unsigned)seconds + 300);
    watcher = start_watch(&limit);
    start = sample_now();
    snprintf(descriptors, sizeof descriptors, "%.0f", start.of[DESCRIPTORS]);
    setenv("SOAK_DESCRIPTORS", descriptors, 1);
    make_apps();
    printf("soak: %ld s, %ld threads, %d apps, %d kinds of tokens\n", seconds, number_of("SOAK_THREADS", 200), identity_count,
           slot_count);
    fflush(stdout);
    families.every_ms = seconds * 1000 / 12 < 15000 ? seconds * 1000 / 12 : 15000;
    families.every_ms = number_of("SOAK_EVERY_MS", families.every_ms);
    families.dice = seed + 77;
    start_workers(number_of("SOAK_THREADS", 200));
    if (pthread_create(&multiplier, NULL, multiply, &families)) return 2;
    for (second = 0; second < seconds; second++) {
        pause_ms(1000);
        take_sample();
    }
    __atomic_store_n(&childless, 1, __ATOMIC_RELEASE);
    pthread_join(multiplier, NULL);
    join_workers();
    free_apps();

    print_figures();
    judge_growth((int)warm);
    judge_end(&start);
    print_codes();
    printf("violations %llu\n", (unsigned long long)figures->violations);
    watching = 0;
    pthread_join(watcher, NULL);
    return figures->violations ? 1 : 0;
}
