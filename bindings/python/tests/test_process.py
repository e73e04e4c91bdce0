"""Does it live well in a process: with threads, asyncio, fork, cancellation, and thousands of tokens?"""

import asyncio
import gc
import os
import sys
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

import mtlspop
from mtlspop import Cancel, ClientSignedAssertion, _callbacks
from support import GRAPH, ME, SCOPES, Case, client, counter, env, fault, federated, identity


def resident():
    """The memory that this process takes, in KiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


class Threads(Case):
    def test_one_request(self):
        """Do many threads that want one token cause one request, and get it?"""
        app = client()
        fault(operation="token", delay_ms=300)
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: app.acquire_token_for_client(SCOPES), range(8)))
        self.assertEqual(len({result.access_token for result in results}), 1)
        self.assertEqual(counter("token"), 1)

    def test_interpreter_is_free(self):
        """Does another thread run while a call waits for the network?"""
        fault(operation="token", delay_ms=20000)
        cancel, seen = Cancel(), []

        def call():
            try:
                client().acquire_token_for_client(SCOPES, cancel=cancel)
            except mtlspop.CancelledError as error:
                seen.append(error.code)

        thread = threading.Thread(target=call)
        thread.start()
        while counter("token") == 0:
            pass
        self.assertEqual(seen, [])
        cancel.cancel()
        thread.join(10)
        self.assertEqual((thread.is_alive(), len(seen)), (False, 1))

    def test_cancelled_before(self):
        """Does a raised flag stop a call before it begins?"""
        cancel = Cancel()
        cancel.cancel()
        self.assertRaises(mtlspop.CancelledError, client().acquire_token_for_client, SCOPES, cancel=cancel)
        self.assertEqual(counter("token"), 0)

    def test_close_under_way(self):
        """Does a call end well while another thread closes its app?"""
        app = client()
        fault(operation="token", delay_ms=300)
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(app.acquire_token_for_client, SCOPES)
            while counter("token") == 0:
                pass
            app.close()
            self.assertEqual(future.result(10).token_type, "Bearer")

    def test_callbacks_on_threads(self):
        """Do callbacks and their exceptions stay with the threads that asked?"""

        def call(number):
            def fail(request):
                raise LookupError(number)

            try:
                federated(fail).acquire_token_for_client(SCOPES)
            except mtlspop.CallbackError as error:
                return error.__cause__.args[0]

        with ThreadPoolExecutor(8) as pool:
            self.assertEqual(list(pool.map(call, range(40))), list(range(40)))


class Asyncio(Case):
    def test_to_thread(self):
        """Does a program with an event loop get tokens beside its other work?"""
        if sys.version_info < (3, 9):
            self.skipTest("asyncio.to_thread is of 3.9")
        app = client()

        async def main():
            return await asyncio.gather(
                *(
                    asyncio.to_thread(app.acquire_token_for_client, SCOPES, None, pop)
                    for pop in (False, True, True)
                )
            )

        types = [result.token_type for result in asyncio.run(main())]
        self.assertEqual(types, ["Bearer", "mtls_pop", "mtls_pop"])


class Fork(Case):
    def test_child(self):
        """Can a child use what it inherited: app, callback, token, certificate, and close it?"""
        with open(env("FIC_ASSERTION_PATH")) as file:
            jwt = file.read().strip()
        binding = mtlspop.Certificate.from_file(env("FIC_CERTIFICATE_PATH"))
        before = len(_callbacks.registered)
        app = federated(lambda request: ClientSignedAssertion(jwt, binding))
        result = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)
        self.assertEqual(app.send(result, "GET", ME).status, 200)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                fresh = app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)
                answered = [app.send(token, "GET", ME).status for token in (result, fresh)]
                app.close()
                code = 0 if answered == [200, 200] and len(_callbacks.registered) == before else 2
            finally:
                os._exit(code)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual(app.send(result, "GET", ME).status, 200)

    def test_multiprocessing(self):
        """Do the workers of a forking pool get tokens of an app that was made before?"""
        code = (
            "import multiprocessing; from support import *\n"
            "app = client()\n"
            "def work(_):\n"
            "    return app.acquire_token_for_client(SCOPES, mtls_proof_of_possession=True).token_type\n"
            "if __name__ == '__main__':\n"
            "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
            "        print(set(pool.map(work, range(8))))\n"
        )
        from support import python

        output = python(code)
        self.assertEqual((output.stdout, output.stderr), ("{'mtls_pop'}\n", ""))


class Memory(Case):
    def test_flat(self):
        """Does the process stay as large as it was over 100,000 tokens, with all that they give?"""
        app, pop = client(), identity()

        def cycle(times):
            for _ in range(times):
                app.acquire_token_for_client(SCOPES).access_token
                result = pop.acquire_token_for_client(resource=GRAPH, mtls_proof_of_possession=True)
                result.binding_certificate.sha256_thumbprint
            gc.collect()

        cycle(5000)
        before = resident()
        cycle(50000)
        self.assertLess(resident() - before, 1024, "KiB more than before")

    def test_errors_are_freed(self):
        """And over thousands of errors, apps and callbacks?"""

        def cycle(times):
            for _ in range(times):
                with self.assertRaises(mtlspop.InvalidArgumentError):
                    client("secret").acquire_token_for_client(SCOPES, mtls_proof_of_possession=True)
                federated(lambda request: "").close()
            gc.collect()

        cycle(200)
        before = resident()
        cycle(2000)
        self.assertLess(resident() - before, 2048, "KiB more than before")


if __name__ == "__main__":
    unittest.main()
