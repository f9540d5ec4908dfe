# Makes the extracted packages in the folder $1 an image, after the entrypoint was put in place: a hook of mmdebstrap.
# No package's own script is run. The cluster is made as the user postgres, and where that cannot be (packages of a
# foreign architecture), the image makes it when it starts.
root=$1
data=/var/lib/postgresql/data

cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
# The ids of the official image.
echo 'postgres:x:999:999::/var/lib/postgresql:/bin/sh' >>"$root/etc/passwd"
echo 'postgres:x:999:' >>"$root/etc/group"

# What the packages need to be installed, and what compiles queries to machine code: two thirds of the size.
lib=$root/usr/lib
share=$root/usr/share
rm -rf "$lib"/*/libLLVM* "$lib"/*/libz3* "$lib"/postgresql/15/lib/bitcode "$lib"/postgresql/15/lib/llvmjit* \
    "$lib"/*/*perl* "$share"/perl* "$root"/usr/bin/*perl* "$lib"/*/gconv "$share"/i18n "$share"/locale \
    "$share"/zoneinfo/right "$share"/doc "$share"/man "$share"/postgresql/15/man

mkdir -p "$root$data" "$root/var/run/postgresql"
chmod 700 "$root$data"
chown 999:999 "$root$data" "$root/var/run/postgresql"

as_postgres() {
    chroot --userspec=+999:+999 --groups= "$root" \
        /usr/bin/env -i PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin LANG=C.UTF-8 PGDATA="$data" "$@"
}
if ! as_postgres /usr/local/bin/exitone-postgres make-cluster; then
    find "$root$data" -mindepth 1 -delete
fi
