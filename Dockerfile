# syntax=docker/dockerfile:1
# The program and nothing else: no shell, no package manager, run by a user without rights.
#
#   docker build --build-arg TASKLIGHT_COMMIT=$(git rev-parse --short=12 HEAD) -t tasklight .
#   docker run -p 127.0.0.1:8080:8080 -v tasklight:/var/lib/tasklight tasklight serve --insecure-listen
#
# Within a container the hub has to listen beyond loopback, and it does so only when it is told that whoever reaches the port may read
# and write everything. Publish the port on loopback, as above, or give it keys to check tokens with (docs/access.md).
#
# For several architectures: docker buildx build --platform linux/amd64,linux/arm64, with a builder of each; emulated, the last step
# takes hours. Nothing here depends on the architecture.

FROM --platform=$BUILDPLATFORM node:22-bookworm-slim AS page
WORKDIR /src
COPY sdk/typescript sdk/typescript
COPY web web
RUN --mount=type=cache,target=/root/.npm \
    npm ci --prefix web --no-audit --no-fund && npm run build --prefix web

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
COPY --from=page /src/web/dist web/dist
# The history of the sources is not in the image's context, so whoever builds says which commit it is.
ARG TASKLIGHT_COMMIT=""
ARG TARGETARCH
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=tasklight-target-$TARGETARCH,target=/src/target \
    cargo build --release --locked --bin tasklight \
    && cp target/release/tasklight /usr/local/bin/ \
    && mkdir -p /var/lib/tasklight

# glibc as in the stage before, certificates for stores and brokers over TLS, and nothing that could be run.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG TASKLIGHT_COMMIT=""
LABEL org.opencontainers.image.title="Tasklight" \
      org.opencontainers.image.description="A WebSocket hub for watching tasks live" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$TASKLIGHT_COMMIT"
# An empty folder of its own, from which a new volume takes its owner.
COPY --from=build --chown=10001:10001 /var/lib/tasklight /var/lib/tasklight
COPY --from=build /usr/local/bin/tasklight /usr/local/bin/tasklight
USER 10001:10001
WORKDIR /var/lib/tasklight
VOLUME /var/lib/tasklight
ENV TASKLIGHT__LISTEN=0.0.0.0:8080
EXPOSE 8080
# Ready means that the store answers. It is asked for on the admin listener, which is 127.0.0.1:9090 within the container; whoever watches from
# outside sets TASKLIGHT__ADMIN_LISTEN and TASKLIGHT__INSECURE_ADMIN_LISTEN, and this finds it all the same. A hub that is not ready must
# not be restarted for it: it drains when the store is back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --start-interval=1s CMD ["tasklight", "ready"]
# An orderly stop takes up to 20 s (node.stop_timeout): docker stop --time 30.
ENTRYPOINT ["/usr/local/bin/tasklight"]
CMD ["serve"]
