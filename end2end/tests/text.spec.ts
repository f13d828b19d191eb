/** Texts with HTML in them, tests of saved webhooks, titles, and secret headers. */
import { edit, expect, field, headersAsText, isPlain, makeTask, makeWebhook, open, save, seeTitle, signIn, submit, test } from './fixtures.js';

const HOSTILE = '</title><img src=x onerror=alert(1)>';
const MESSAGE = '\n{"a": "&amp; &lt; </textarea><img src=x onerror=alert(1)>"}\n';

test('texts that contain HTML are unchanged after an edit', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, HOSTILE);
  await expect(page).toHaveTitle(`Webhook: ${HOSTILE} · Hookwright`);
  await page.reload();
  await expect(page).toHaveTitle(`Webhook: ${HOSTILE} · Hookwright`);
  await makeTask(page, hook, 'full', HOSTILE, MESSAGE);
  await makeTask(page, hook, 'empty', HOSTILE, '');
  for (const [id, name, message] of [[1, 'full', MESSAGE], [2, 'empty', '']] as const) {
    for (let round = 0; round < 2; round++) {
      // The form opened by its address, then by a link.
      await open(page, hook, round === 0 ? `/tasks/${id}/edit` : `/tasks/${id}`);
      if (round === 1) await edit(page);
      await expect(field(page, 'Message')).toHaveValue(message);
      await expect(field(page, 'Description')).toHaveValue('');
      await save(page, `Task: ${name}`);
    }
  }
  await expect(page.locator('img')).toHaveCount(0);
});

test('an operator can test a saved webhook, and is warned of a host that does not resolve', async ({ page, hook }) => {
  await signIn(page, hook, 'olga');
  await makeWebhook(page, hook, 'Chat', `${hook.inbox}/status/418`);
  await edit(page);
  await seeTitle(page, 'Webhook: Chat');
  if (!isPlain()) {
    // The button would be rendered together with the toolbar.
    await expect(page.getByRole('toolbar', { name: 'Headers' })).toBeVisible();
    await expect(page.getByRole('button', { name: 'Send test' })).toHaveCount(0);
  }
  await open(page, hook, '/webhooks/1');
  await page.getByRole('link', { name: 'Send test' }).click();
  await seeTitle(page, 'Send test');
  await field(page, 'Message').fill('exactly & this </textarea>');
  await page.getByRole('button', { name: 'Send test' }).click();
  await expect(page.getByRole('region', { name: 'Test response' })).toContainText('418');
  await expect(page.getByRole('region', { name: 'Test request' })).toContainText('exactly & this </textarea>');
  await expect(field(page, 'Message')).toHaveValue('exactly & this </textarea>');
  await expect.poll(() => hook.received().map((request) => request.body)).toEqual(['exactly & this </textarea>']);

  await makeWebhook(page, hook, 'Later', 'http://nobody.invalid/');
  await expect(page.getByRole('status').filter({ hasText: 'does not resolve at the moment' })).toBeVisible();
  await makeWebhook(page, hook, 'Now', hook.inbox);
  await expect(page.getByText('does not resolve')).toHaveCount(0);
});

test('a page has one title, before and after hydration', async ({ page, hook }) => {
  await page.addInitScript(() => {
    const titles = new Set<string>();
    (globalThis as any).titles = titles;
    const note = () => { if (document.title) titles.add(document.title); };
    new MutationObserver(note).observe(document, { subtree: true, childList: true, characterData: true });
  });
  await signIn(page, hook);
  for (const path of ['/', '/webhooks', '/tasks', '/events', '/deliveries', '/runs', '/objects', '/tags', '/types', '/tasks/new']) {
    await open(page, hook, path);
    const heading = await page.getByRole('heading', { level: 1 }).textContent();
    const expected = `${heading?.trim()} · Hookwright`;
    await expect(page).toHaveTitle(expected);
    if (!isPlain()) expect(await page.evaluate(() => [...(globalThis as any).titles])).toEqual([expected]);
  }
  await open(page, hook, '/tags');
  const crumbs = page.getByRole('navigation', { name: 'Breadcrumb' });
  await expect(crumbs.getByRole('link').first()).toHaveText('Inventory');
  await page.goto(`${hook.url}/nowhere`);
  await expect(page).toHaveTitle('Not found · Hookwright');
});

test('a secret header is masked, and its value survives edits', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await field(page, 'Name').fill('Sealed');
  await field(page, 'URL').fill(hook.inbox);
  if (isPlain()) {
    await field(page, 'Secret headers as text').fill('X-Api-Key: canary-1');
  } else {
    await field(page, 'New header name').fill('X-Api-Key');
    const secret = page.getByLabel('Header 2 is secret');
    await expect(secret, 'by itself, for its name').toBeChecked();
    await field(page, 'Header 2 value').fill('canary-1');
  }
  await save(page, 'Webhook: Sealed');
  await expect(page.getByRole('region', { name: 'Headers' })).toContainText('X-Api-Key: ••••••••');
  expect(await page.content()).not.toContain('canary-1');
  await makeTask(page, hook, 'Tell', 'Sealed', 'x');
  const execute = async (count: number) => {
    await open(page, hook, '/tasks/1');
    await page.getByRole('navigation', { name: 'Commands' }).getByRole('button', { name: 'Execute' }).click();
    await expect.poll(() => hook.received().length).toBe(count);
    return hook.received()[count - 1].headers.filter(([name]) => name.toLowerCase() === 'x-api-key').map(([, value]) => value);
  };
  expect(await execute(1)).toEqual(['canary-1']);

  // The value stays when the header is moved, shown as text and back, or another field is edited.
  await open(page, hook, '/webhooks/1/edit');
  if (!isPlain()) {
    await expect(field(page, 'Header 2 value')).toHaveValue('••••••••');
    await page.getByLabel('Check header 2').check();
    await page.getByRole('button', { name: 'Up' }).click();
    const text = await headersAsText(page);
    await expect(text).toHaveValue('X-Api-Key: ••••••••\nContent-Type: application/json');
    await page.getByRole('button', { name: 'Raw' }).click();
    await expect(page.getByLabel('Header 1 is secret')).toBeChecked();
  }
  await field(page, 'Retries').fill('2');
  await save(page, 'Webhook: Sealed');
  expect(await execute(2)).toEqual(['canary-1']);

  // A new value replaces the old one. Another target demands the value again.
  await open(page, hook, '/webhooks/1/edit');
  if (isPlain()) await field(page, 'Secret headers as text').fill('X-Api-Key: canary-2');
  else await field(page, 'Header 1 value').fill('canary-2');
  await save(page, 'Webhook: Sealed');
  expect(await execute(3)).toEqual(['canary-2']);
  await open(page, hook, '/webhooks/1/edit');
  await field(page, 'URL').fill('http://127.0.0.1:9/');
  await submit(page);
  await expect(page.getByText('Enter the value of X-Api-Key again')).toBeVisible();
});
