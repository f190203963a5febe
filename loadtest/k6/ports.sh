# Ports of hubs, for the scripts beside this one.

free_port() {
    local port
    while :; do
        # Below the range from which outgoing connections take theirs.
        port=$((10000 + RANDOM % 20000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

# Whether the hub whose admin port this is says that it is.
is_ready() {
    local status
    { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
    printf 'GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
    read -r -t 2 status <&3 || status=""
    exec 3>&-
    [[ "$status" == *" 200 "* ]]
}
