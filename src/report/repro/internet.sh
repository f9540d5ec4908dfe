# The simulated internet is a second namespace. It shares the first one's PID namespace, to reach it as process 1.
docker volume create --label exitone.repro "$ca" >/dev/null
tools --name "$internet" --pid "container:$net" --volume "$ca:/run/exitone"
docker exec --interactive "$internet" sh -eu <<'SH'
# Two links to the candidate: behind eth0 is the internet, behind closed nothing listens.
ip link add eth0 type veth peer name eth0 netns 1
ip link add closed type veth peer name closed netns 1
ip address add 10.0.61.1/32 dev eth0
ip link set eth0 up
ip link set closed up
# Every address but the candidate's is local here. UDP (protocol 17) from the candidate is dropped silently, by a rule
# that must come before the kernel's first one.
ip route add table local 10.0.61.20 dev eth0 src 10.0.61.1
ip route add table local 10.0.248.213 dev eth0 src 10.0.61.1  # hostname.platform
ip route add table local local default dev lo
ip rule add pref 10 iif eth0 ipproto 17 blackhole
ip rule add pref 20 lookup local
ip rule del pref 0
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=exitone repro' \
    -keyout /tmp/ca.key -out /run/exitone/ca.pem 2>/dev/null
SH
