import {
  expect, field, headersAsText, makeEvent, makeTask, makeWebhook, expectObject, open, save, seeTitle, signIn, submit, test,
} from './fixtures.js';

test('an accepted event sends the webhook exactly as configured', async ({ page, hook }) => {
  await signIn(page, hook);

  await open(page, hook, '/webhooks/new');
  await field(page, 'Name').fill('Zapier - VM workflow');
  await field(page, 'URL').fill(`${hook.inbox}/hooks/vm`);
  await field(page, 'Authorization Type').selectOption('Bearer');
  await field(page, 'Authorization Token').fill('s3cr3t-token');
  await (await headersAsText(page)).fill('X-Env: production\nContent-Type: application/json\nX-Env: second\nX-Route: a');
  await save(page, 'Webhook: Zapier - VM workflow');
  expect(await page.content()).not.toContain('s3cr3t-token');

  const template = '{"vm": "${NAME}", "at": ${TIMESTAMP}, "on": "${DATE}", "n": ${RANDOM}}';
  await makeTask(page, hook, 'Start workflow', 'Zapier - VM workflow', template);
  await makeEvent(page, hook, 'Power On', 'Start workflow');

  const response = await hook.post({ type: 'vms', event: 'poweron', object: { id: 'vm-101', name: 'web "01"' } });
  expect(response.status).toBe(202);
  expect(await response.json()).toMatchObject({ occurrences: [{ tasks_started: 1 }] });
  await expect.poll(() => hook.received().length).toBe(1);

  const [request] = hook.received();
  expect(request.method).toBe('POST');
  expect(request.path).toBe('/hooks/vm');
  const names = request.headers.map(([name]) => name);
  expect(names.slice(0, 8)).toEqual([
    'Host', 'X-Env', 'X-Env', 'Content-Type', 'X-Route', 'Authorization', 'Webhook-Id', 'Webhook-Timestamp',
  ]);
  expect(request.headers.find(([name]) => name === 'Authorization')?.[1]).toBe('Bearer s3cr3t-token');
  const body = JSON.parse(request.body);
  expect(body.vm).toBe('web "01"');
  expect(Math.abs(body.at - Date.now() / 1000)).toBeLessThan(60);
  expect(body.on).toMatch(/^\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} UTC$/);
  expect(body.n).toBeGreaterThanOrEqual(0);

  await expect(async () => {
    await open(page, hook, '/deliveries');
    const row = page.getByRole('row').filter({ hasText: 'Zapier - VM workflow' });
    await expect(row).toContainText('Sent', { timeout: 500 });
    await expect(row).toContainText('web "01"');
    await expect(row).toContainText('HTTP 200');
  }).toPass();

  await page.getByRole('button', { name: /maria, admin/ }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await seeTitle(page, 'Sign in to Hookwright');
  await page.goto(`${hook.url}/webhooks`);
  await expect(page).toHaveURL(/sign-in\?next=%2Fwebhooks/);
});

test('an event about one object does not fire for others', async ({ page, hook }) => {
  await signIn(page, hook);
  await hook.post([
    { type: 'vms', event: 'created', object: { id: 'vm-1', name: 'web-01' } },
    { type: 'vms', event: 'created', object: { id: 'vm-2', name: 'web-02' } },
  ]);
  await makeWebhook(page, hook, 'w');
  await makeTask(page, hook, 't', 'w');
  await makeEvent(page, hook, 'Power Off', 't', 'web-02');
  await expectObject(page, 'web-02', 'vm-2');

  const response = await hook.post([
    { type: 'vms', event: 'poweroff', object: { id: 'vm-1' } },
    { type: 'vms', event: 'poweroff', object: { id: 'vm-2' } },
  ]);
  const { occurrences } = await response.json() as { occurrences: { tasks_started: number }[] };
  expect(occurrences.map((one) => one.tasks_started)).toEqual([0, 1]);
  await expect.poll(() => hook.received().map((request) => request.body)).toEqual(['"web-02"']);
});

test('a viewer sees forms read-only and gets 403 for new ones', async ({ page, hook }) => {
  await signIn(page, hook, 'victor');
  await expect(page.getByRole('link', { name: 'New Webhook' })).toHaveCount(0);
  for (const kind of ['webhooks', 'tasks', 'events', 'schedules', 'triggers', 'objects']) {
    const response = await page.goto(`${hook.url}/${kind}/new`);
    expect(response?.status()).toBe(403);
    await expect(page.getByText('reads everything and changes nothing')).toBeVisible();
  }
  // Away from a page that may still be about to open its stream.
  await page.goto('about:blank');
  await page.context().clearCookies();
  await signIn(page, hook);
  await makeWebhook(page, hook, 'seen');
  await page.goto('about:blank');
  await page.context().clearCookies();
  await signIn(page, hook, 'victor');
  await open(page, hook, '/webhooks/1/edit');
  await expect(field(page, 'Name')).toHaveValue('seen');
  await expect(field(page, 'Name')).toBeDisabled();
  await expect(page.getByRole('button', { name: 'Submit' })).toHaveCount(0);
  await expect(page.getByText('reads everything and changes nothing')).toBeVisible();
});
