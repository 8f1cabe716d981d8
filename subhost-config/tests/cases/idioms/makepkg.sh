DLAGENTS=('file::/usr/bin/curl -qgC - -o %o %u'
          'https::/usr/bin/curl -qgb "" -fLC - --retry 3 -o %o %u'
          'scp::/usr/bin/scp -C %u %o')
CARCH="x86_64"
CHOST="x86_64-pc-linux-gnu"
CFLAGS="-march=x86-64 -mtune=generic -O2 -pipe -fno-plt -fexceptions \
        -Wp,-D_FORTIFY_SOURCE=3 -Wformat -Werror=format-security"
CXXFLAGS="$CFLAGS -Wp,-D_GLIBCXX_ASSERTIONS"
LDFLAGS="-Wl,-O1 -Wl,--sort-common"
BUILDENV=(!distcc color !ccache check !sign)
OPTIONS=(strip docs !libtool !staticlibs emptydirs zipman purge debug lto)
INTEGRITY_CHECK=(sha256)
COMPRESSGZ=(gzip -c -f -n)
PKGEXT='.pkg.tar.zst'
SRCEXT='.src.tar.gz'
