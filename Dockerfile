# The program on a small Debian, run by a user without rights:
#
#   docker build -t tasklight .
#   docker run -p 127.0.0.1:8080:8080 -v tasklight:/var/lib/tasklight tasklight serve --insecure-listen
#
# Within a container the hub has to listen beyond loopback, and it does so only when it is told that whoever reaches the port may read
# and write everything. Publish the port on loopback, as above, or put something that asks for a password before it.

FROM node:22-bookworm-slim AS page
WORKDIR /src
COPY sdk/typescript sdk/typescript
COPY web web
RUN --mount=type=cache,target=/root/.npm \
    npm ci --prefix web --no-audit --no-fund && npm run build --prefix web

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=page /src/web/dist web/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin tasklight && cp target/release/tasklight /usr/local/bin/

FROM debian:stable-slim
# The certificates are for its client commands, and for a store or broker over TLS.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/tasklight --create-home tasklight
COPY --from=build /usr/local/bin/tasklight /usr/local/bin/
USER tasklight
WORKDIR /var/lib/tasklight
VOLUME /var/lib/tasklight
ENV TASKLIGHT__LISTEN=0.0.0.0:8080
EXPOSE 8080
# Ready means that the store answers. /readyz is served on 127.0.0.1:9090 within the container; whoever watches from outside sets
# TASKLIGHT__ADMIN_LISTEN and asks it there. A hub that is not ready must not be restarted for it: it drains when the store is back.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/9090; printf 'GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3; grep -q '^HTTP/1.[01] 200' <&3"]
# An orderly stop takes up to 20 s (node.stop_timeout): docker stop --time 30.
ENTRYPOINT ["tasklight"]
CMD ["serve"]
