//! `jhe demo`: the walk holds wherever the site says it is.

use std::process::ExitCode;

use jhe_config::Config;
use jhe_server::demo::{self, DemoArgs};
use jhe_testkit::TestDb;

async fn walk(variables: &[(&str, &str)]) -> Result<ExitCode, String> {
    let database = TestDb::new().await;
    let mut all = vec![("DATABASE_URL".to_owned(), database.url.clone())];
    all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let config = Config::read(all, None).unwrap();
    let outcome = demo::run(config, DemoArgs { port: 0, data_dir: None, exit: true }).await;
    database.drop_database().await;
    outcome.map_err(|error| format!("{error:#}"))
}

#[tokio::test]
async fn the_walk_holds_wherever_the_site_says_it_is() {
    for site in ["http://127.0.0.1:21084", "http://jhe.internal", "https://localhost:8443"] {
        assert_eq!(walk(&[("SITE_URL", site)]).await, Ok(ExitCode::SUCCESS), "{site}");
    }
    let behind =
        [("SITE_URL", "https://jhe.localhost"), ("SECURE_SSL_REDIRECT", "1"), ("JHE_TRUSTED_PROXIES", "127.0.0.1")];
    assert_eq!(walk(&behind).await, Ok(ExitCode::SUCCESS));
}

#[tokio::test]
async fn a_walk_that_could_not_hold_is_refused_by_the_variable() {
    let redirected = walk(&[("SECURE_SSL_REDIRECT", "1")]).await.unwrap_err();
    assert!(redirected.contains("SECURE_SSL_REDIRECT"), "{redirected}");
    let elsewhere = walk(&[("ALLOWED_HOSTS", "jhe.example.org")]).await.unwrap_err();
    assert!(elsewhere.contains("ALLOWED_HOSTS does not hold localhost:8000"), "{elsewhere}");
}
