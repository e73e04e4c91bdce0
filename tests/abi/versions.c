/* versions.c: which versions do the header and the library name, once the compiler has had its say? */

#include <mtlspop.h>
#include <stdio.h>

int main(void)
{
    printf("%s %d.%d.%d %s %d/%d\n", MTLSPOP_VERSION, MTLSPOP_VERSION_MAJOR, MTLSPOP_VERSION_MINOR,
           MTLSPOP_VERSION_PATCH, mtlspop_version(), MTLSPOP_ABI_VERSION, (int)mtlspop_abi_version());
    return 0;
}
