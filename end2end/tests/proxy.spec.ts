/**
 * A console behind Debian's nginx with the configuration of `docs/proxy.md`: with TLS at the proxy and a test authority
 * in the browser, then by http on a port that the proxy drops.
 */
import { chromium } from '@playwright/test';
import { spawn, spawnSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, field, makeTask, makeEvent, makeWebhook, password, seeTitle, serving, signIn, test, waitForHydration } from './fixtures.js';

const nginx = process.env.HOOKWRIGHT_NGINX ?? '/usr/sbin/nginx';

/** Returns a free port, for programs that do not print the port they listen on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function openssl(dir: string, args: string[]) {
  const done = spawnSync('openssl', args, { cwd: dir, encoding: 'utf8' });
  if (done.status !== 0) throw new Error(done.stderr);
}

/** Makes a certificate for `nas`, signed by a new authority. Returns the hash of the authority's key. */
function certify(dir: string): string {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  openssl(dir, ['req', '-x509', ...key, '-subj', '/CN=Test authority', '-keyout', 'ca.key', '-out', 'ca.crt']);
  openssl(dir, ['req', ...key.slice(0, -2), '-subj', '/CN=nas', '-keyout', 'nas.key', '-out', 'nas.csr']);
  writeFileSync(join(dir, 'names'), 'subjectAltName=DNS:nas\n');
  const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
  openssl(dir, ['x509', '-req', '-in', 'nas.csr', ...signed, '-out', 'nas.crt']);
  const chain = readFileSync(join(dir, 'nas.crt'), 'utf8') + readFileSync(join(dir, 'ca.crt'), 'utf8');
  writeFileSync(join(dir, 'chain.crt'), chain);
  const { publicKey } = new X509Certificate(readFileSync(join(dir, 'ca.crt')));
  return createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
}

/** Returns the configuration in the documentation, with these ports. */
function configuration(dir: string, port: number, upstream: number, isHttps: boolean): string {
  const page = readFileSync(join(import.meta.dirname, '../../docs/proxy.md'), 'utf8');
  let server = page.split('```nginx\n')[1].split('```')[0];
  server = server.replace('listen 443 ssl;', `listen 127.0.0.1:${port}${isHttps ? ' ssl' : ''};`);
  server = server.replace('127.0.0.1:8080', `127.0.0.1:${upstream}`).replace('hooks.example.com;', 'nas;');
  server = server.replace('/etc/ssl/hooks.example.com.crt', join(dir, 'chain.crt'));
  server = server.replace('/etc/ssl/private/hooks.example.com.key', join(dir, 'nas.key'));
  if (!isHttps) {
    // A common variant, which drops the port.
    server = server.replace('$http_host', '$host').replace(/ *ssl_certificate.*\n/g, '');
  }
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`);
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  return `${user} pid ${dir}/pid; error_log stderr; events {} http { access_log off; ${temp.join(' ')}\n${server} }`;
}

/** Tries to sign in from another address of this machine. Returns the status. */
function tryFrom(localAddress: string, port: number, entered: string): Promise<number> {
  const body = `name=maria&password=${encodeURIComponent(entered)}`;
  return new Promise((resolve, reject) => {
    const headers = { host: `nas:${port}`, 'content-type': 'application/x-www-form-urlencoded' };
    const asked = request({ host: '127.0.0.1', port, path: '/sign-in', method: 'POST', localAddress, headers });
    asked.on('response', (response) => resolve(response.resume().statusCode ?? 0)).on('error', reject);
    asked.end(body);
  });
}

for (const isHttps of [false, true]) {
  test(`a console behind nginx works by ${isHttps ? 'https' : 'http on a port that the proxy drops'}`, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'hookwright-proxy-'));
    mkdirSync(join(dir, 'client_body'));
    const [port, upstream] = [await freePort(), await freePort()];
    const url = `${isHttps ? 'https' : 'http'}://nas:${port}`;
    const authority = certify(dir);
    writeFileSync(join(dir, 'nginx.conf'), configuration(dir, port, upstream, isHttps));
    const proxy = spawn(nginx, ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', 'stderr', '-g', 'daemon off;']);
    let log = '';
    proxy.stderr.on('data', (chunk: Buffer) => (log += chunk));
    const ended = new Promise((resolve) => proxy.on('exit', resolve));
    const { executablePath, args } = test.info().project.use.launchOptions ?? {};
    const browser = await chromium.launch({
      executablePath,
      args: [
        ...(args ?? []), '--host-resolver-rules=MAP nas 127.0.0.1', `--ignore-certificate-errors-spki-list=${authority}`,
      ],
    });
    const context = await browser.newContext();
    const options = ['--listen', `http://127.0.0.1:${upstream}`, '--public-url', url, '--trusted-proxy', '127.0.0.1'];
    await serving(context, options, async (hook) => {
      expect(hook.url, log).toBe(url);
      const page = await context.newPage();
      await signIn(page, hook);
      const [cookie] = (await context.cookies()).filter((one) => one.name.includes('hookwright'));
      expect(cookie.name).toMatch(isHttps ? /^__Host-hookwright-\w{8}$/ : /^hookwright-\w{8}$/);
      expect(cookie.secure).toBe(isHttps);
      await makeWebhook(page, hook, 'w');
      await makeTask(page, hook, 't', 'w');
      await makeEvent(page, hook, 'Power On', 't');

      // The proxy passes the stream on: the list updates by itself.
      await page.goto(`${url}/deliveries`);
      await waitForHydration(page);
      const event = { type: 'vms', event: 'poweron', object: { id: 'vm-1', name: 'web-01' } };
      const posted = await fetch(`http://127.0.0.1:${upstream}/api/v1/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${hook.key}`, 'content-type': 'application/json' },
        body: JSON.stringify(event),
      });
      expect(posted.status).toBe(202);
      await expect(page.getByRole('row').filter({ hasText: 'web-01' })).toContainText('Sent');

      await page.getByRole('button', { name: /maria, admin/ }).click();
      await page.getByRole('button', { name: 'Sign out' }).click();
      await seeTitle(page, 'Sign in to Hookwright');
      if (!isHttps) {
        // Failed tries from one address do not lock out another.
        await expect(async () => expect(await tryFrom('127.0.0.2', port, 'wrong password')).toBe(429)).toPass();
        await field(page, 'Name').fill('maria');
        await field(page, 'Password').fill(password);
        await page.getByRole('button', { name: 'Sign in' }).click();
        await seeTitle(page, 'Tasks Dashboard');
      }
    });
    await browser.close();
    proxy.kill();
    await ended;
    rmSync(dir, { recursive: true, force: true });
  });
}
