pkgbase=linux
pkgname=("$pkgbase" "$pkgbase-headers" "$pkgbase-docs")
pkgver=6.1.2.arch1
_srcname=archlinux-linux
_srctag=v${pkgver%.*}-${pkgver##*.}
makedepends=(bc cpio # build
  gettext libelf)
for _p in "${pkgname[@]}"; do
  eval_name="package_${_p#$pkgbase}"
done
unset _p
