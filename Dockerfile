# syntax=docker/dockerfile:1
# A relay with its page: docs/hosting.md. Built in one stage, run in another, so that the image holds the packed program
# and its dependencies and no build tools.
FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && npm pack --ignore-scripts --pack-destination /tmp \
  && mkdir /program && cd /program && npm init -y >/dev/null \
  && npm install --omit=dev --ignore-scripts --no-audit --no-fund /tmp/oneround-*.tgz

FROM node:22-bookworm-slim
ENV NODE_ENV=production
COPY --from=build /program /program
# The data folder belongs to the user that runs the relay, not to root.
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8787
# A container's own loopback is not reachable from outside, so the relay binds all its interfaces (--lan).
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8787/readyz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/program/node_modules/.bin/oneround"]
CMD ["host", "--lan", "--port", "8787", "--data-dir", "/data"]
