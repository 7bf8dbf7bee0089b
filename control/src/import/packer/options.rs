//! What becomes of the options of an `amazon-ebs` source that are not taken over, by their
//! names (the plugin's page "Amazon EBS", sections AMI, Access, Run, Block devices and
//! Communicator).

use crate::import::report::Outcome;

/// What becomes of `key`, an attribute or a block.
pub(super) fn outcome(key: &str) -> Outcome {
    let later = |what: &str| Outcome::NotSupported(format!("host.toml cannot say it: {what}"));
    match key {
        "user_data" | "user_data_file" => Outcome::Replaced(
            "floe's own user data, which brings the agent up; what yours sets belongs in \
                 configuration.nix"
                .into(),
        ),
        "communicator"
        | "keypair_name"
        | "temporary_key_pair_name"
        | "temporary_key_pair_type"
        | "temporary_key_pair_bits"
        | "pause_before_connecting"
        | "session_manager_port" => no_ssh(),
        _ if key.starts_with("ssh_") || key.starts_with("winrm_") => no_ssh(),
        "security_group_id"
        | "security_group_ids"
        | "security_group_filter"
        | "temporary_security_group_source_cidrs"
        | "temporary_security_group_source_public_ip" => Outcome::Replaced(
            "a builder that nothing can connect to: the agent connects out".into(),
        ),
        "access_key" | "secret_key" | "token" => Outcome::Look(
            "credentials of AWS do not belong in a repository: revoke them; the control plane \
             has its own"
                .into(),
        ),
        "profile"
        | "assume_role"
        | "shared_credentials_file"
        | "mfa_code"
        | "vault_aws_engine"
        | "aws_polling"
        | "decode_authorization_messages"
        | "custom_endpoint_ec2"
        | "insecure_skip_tls_verify"
        | "max_retries"
        | "skip_credential_validation"
        | "skip_metadata_api_check"
        | "skip_region_validation"
        | "assume_role_with_web_identity" => {
            Outcome::Replaced("the credentials and the endpoint of the control plane".into())
        }
        "ami_virtualization_type"
        | "ena_support"
        | "sriov_support"
        | "ami_architecture"
        | "boot_mode"
        | "uefi_data"
        | "tpm_support" => Outcome::NotNeeded("the new image has what its source image has".into()),
        "force_deregister"
        | "force_delete_snapshot"
        | "skip_create_ami"
        | "skip_save_build_region"
        | "skip_ami_run_tags"
        | "no_ephemeral"
        | "fast_launch"
        | "shutdown_behavior"
        | "disable_stop_instance"
        | "skip_profile_validation" => Outcome::NotNeeded(
            "images are named by serial, none is overwritten, and the builder ends itself".into(),
        ),
        "vpc_id"
        | "vpc_filter"
        | "subnet_id"
        | "subnet_filter"
        | "availability_zone"
        | "associate_public_ip_address" => later(
            "the builder starts in the region's default network, and must reach the control plane",
        ),
        "launch_block_device_mappings"
        | "ami_block_device_mappings"
        | "snapshot_users"
        | "snapshot_groups"
        | "snapshot_tags"
        | "snapshot_tag"
        | "ebs_optimized" => later("volumes and snapshots are those of the source image"),
        "encrypt_boot" | "kms_key_id" | "region_kms_key_ids" => {
            later("turn on EBS encryption by default in the account")
        }
        "ami_regions"
        | "ami_users"
        | "ami_groups"
        | "ami_org_arns"
        | "ami_ou_arns"
        | "ami_product_codes"
        | "deprecate_at"
        | "deregistration_protection" => later("copy, share or deprecate the image with `aws ec2`"),
        "iam_instance_profile" | "temporary_iam_instance_profile_policy_document" => later(
            "the builder needs no rights in AWS; what a build fetches belongs in the role's files",
        ),
        "imds_support" | "metadata_options" => {
            later("set it where instances start: MetadataOptions in the CloudFormation template")
        }
        "run_volume_tags" | "run_volume_tag" | "spot_tags" | "spot_tag" => {
            later("the builder has floe's own tags, by which it is cleaned up")
        }
        _ if key.starts_with("spot_") || key == "block_duration_minutes" => {
            later("the builder is an on-demand instance")
        }
        "tenancy"
        | "placement"
        | "capacity_reservation_preference"
        | "capacity_reservation_id"
        | "capacity_reservation_group_arn"
        | "host_id"
        | "host_resource_group_arn"
        | "license_specifications"
        | "enable_nitro_enclave"
        | "enable_t2_unlimited"
        | "enable_unlimited_credits" => later("the builder is an ordinary instance"),
        "windows_password_timeout" => Outcome::NotNeeded("hosts run NixOS".into()),
        _ => Outcome::NotSupported("floe does not know this option".into()),
    }
}

fn no_ssh() -> Outcome {
    Outcome::NotNeeded("nothing connects to a host, a builder included: there is no SSH".into())
}

/// What becomes of an option that every provisioner has.
pub(super) fn of_provisioner(key: &str) -> Outcome {
    match key {
        "pause_before"
        | "max_retries"
        | "timeout"
        | "start_retry_timeout"
        | "expect_disconnect"
        | "pause_after"
        | "valid_exit_codes" => Outcome::Replaced(
            "the agent's own deadlines and attempts ([activation] of host.toml)".into(),
        ),
        "only" | "except" | "override" => Outcome::NotSupported(
            "a role has one configuration; make a role of what differs".into(),
        ),
        "execute_command" | "remote_folder" | "remote_file" | "remote_path"
        | "use_env_var_file" | "env_var_format" | "skip_clean" | "binary" | "inline_shebang"
        | "generated" => Outcome::NotNeeded("no script is run on the machine".into()),
        "environment_vars" | "env" | "ansible_env_vars" => Outcome::NotSupported(
            "there is no script that would see them; say it in configuration.nix".into(),
        ),
        "use_proxy"
        | "user"
        | "local_port"
        | "host_alias"
        | "groups"
        | "empty_groups"
        | "ssh_host_key_file"
        | "ssh_authorized_key_file"
        | "sftp_command"
        | "use_sftp"
        | "keep_inventory_file"
        | "inventory_directory"
        | "inventory_file_template"
        | "command"
        | "skip_version_check"
        | "ansible_proxy_key_type"
        | "ansible_winrm_use_http"
        | "ansible_ssh_extra_args"
        | "galaxy_file"
        | "galaxy_command"
        | "roles_path"
        | "collections_path"
        | "staging_directory"
        | "clean_staging_directory" => Outcome::NotNeeded(
            "Ansible is not run: what it brings to the machine is read from \
                                the playbook"
                .into(),
        ),
        _ => Outcome::NotSupported("floe does not know this option".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_known_by_its_name() {
        let cases = [
            ("ssh_username", "not needed"),
            ("user_data_file", "replaced"),
            ("communicator", "not needed"),
            ("secret_key", "look"),
            ("subnet_id", "not supported"),
            ("frobnicate", "not supported"),
        ];
        for (key, word) in cases {
            assert_eq!(outcome(key).word(), word, "{key}");
        }
    }
}
