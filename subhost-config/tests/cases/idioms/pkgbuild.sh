# Maintainer: Somebody <some@body.example>
pkgname=foo
pkgver=1.2.3
_major=${pkgver%%.*}
pkgrel=1
pkgdesc="An example"
arch=('x86_64' 'aarch64')
url="https://example.org/$pkgname"
license=('GPL-2.0-or-later')
depends=('glibc' "bar>=${pkgver}")
optdepends=('baz: for more'
            'qux: for less')
source=("$url/$pkgname-$pkgver.tar.gz"{,.sig}
        "$pkgname-${pkgver//./_}.patch")
sha256sums=('SKIP'
            'SKIP'
            'SKIP')
validpgpkeys=(ABCDEF0123456789)
build() {
  cd "$pkgname-$pkgver"
  ./configure --prefix=/usr
  make
}
package() {
  make DESTDIR="$pkgdir/" install
}
