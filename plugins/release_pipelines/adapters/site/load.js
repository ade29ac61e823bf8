import http from 'k6/http';
import { Rate } from 'k6/metrics';

const slow = new Rate('slow_requests');
const load = JSON.parse(__ENV.LOAD);

export const options = {
  discardResponseBodies: true,
  scenarios: {
    load: {
      executor: 'constant-arrival-rate',
      rate: load.rate,
      timeUnit: '1s',
      duration: `${load.seconds}s`,
      preAllocatedVUs: load.clients,
      maxVUs: load.clients,
    },
  },
};

export default function () {
  const path = load.paths[__ITER % load.paths.length];
  const headers = __ENV.HOST ? { Host: __ENV.HOST } : {};
  const answer = http.get(__ENV.BASE_URL + path, { headers, redirects: 0, timeout: `${load.timeout}s` });
  slow.add(answer.timings.duration > 1000 * load.slower_than);
}
