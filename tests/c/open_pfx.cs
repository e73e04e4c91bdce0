// open_pfx.cs: can Mono read the PFX in argument 0 with the password in argument 1? Prints the thumbprint.

using System;
using System.Security.Cryptography.X509Certificates;

static class OpenPfx
{
    static int Main(string[] arguments)
    {
        var certificate = new X509Certificate2(arguments[0], arguments[1]);
        Console.WriteLine(certificate.Thumbprint);
        return certificate.HasPrivateKey ? 0 : 1;
    }
}
