declare -- _major="1"
declare -a arch=([0]="x86_64" [1]="aarch64")
declare -a depends=([0]="glibc" [1]="bar>=1.2.3")
declare -a license=([0]="GPL-2.0-or-later")
declare -a optdepends=([0]="baz: for more" [1]="qux: for less")
declare -- pkgdesc="An example"
declare -- pkgname="foo"
declare -- pkgrel="1"
declare -- pkgver="1.2.3"
declare -a sha256sums=([0]="SKIP" [1]="SKIP" [2]="SKIP")
declare -a source=([0]="https://example.org/foo/foo-1.2.3.tar.gz" [1]="https://example.org/foo/foo-1.2.3.tar.gz.sig" [2]="foo-1_2_3.patch")
declare -- url="https://example.org/foo"
declare -a validpgpkeys=([0]="ABCDEF0123456789")
